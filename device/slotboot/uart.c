/* One line per decision on the UART, at the baud rate the ROM left: numbers, for words would not fit the sector. */
#include "rom.h"
#include "slotboot.h"

static const union {
    char text[44];
    u32 words[11];
} format = {"slotboot: %c counter %u why %u error %u\r\n"};

void say(u32 slot, u32 counter, u32 why, enum error error)
{
    word *readable = &board->page.magic;

    /* The ROM reads the format byte by byte: it has to be copied out of the instruction RAM. */
    copy(readable, format.words, sizeof format.words);
    ets_printf((const char *)(uintptr_t)readable, slot, counter, why, error);
}
