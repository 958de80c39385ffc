/* Flash through the ROM. What the ROM says of a write or an erase is not asked: reading back tells. */
#include "rom.h"
#include "slotboot.h"

#define WATCHDOG ((struct watchdog *)0x60000900)

struct watchdog {
    word control, stage[2], unused[2], feed;
};

void feed_watchdog(void)
{
    WATCHDOG->feed = 0x73;
}

/* The ROM waits for the flash without an end, and after power-on nothing would end that. As the SDK sets it: 8.2 s. */
void start_watchdog(void)
{
    WATCHDOG->stage[0] = 11;
    WATCHDOG->stage[1] = 13;
    WATCHDOG->control = 0x39;
}

/* Every long loop of slotboot comes by here, so this is where the hardware watchdog is fed: after a restart by the program it
 * is still on. */
__attribute__((noinline)) u32 flash_read(u32 at, word *to, u32 bytes)
{
    feed_watchdog();
    return SPIRead(at, to, (bytes + 3) & ~3u);
}

/* At most a sector. */
u32 flash_differs(u32 at, const word *wanted, u32 bytes)
{
    return flash_read(at, buffers->found, bytes) || differs(buffers->found, wanted, bytes);
}

u32 flash_program(u32 at, const word *from, u32 bytes)
{
    SPIWrite(at, from, bytes);
    return flash_differs(at, from, bytes);
}
