/* The hardware watchdog. */
#include "rom.h"

enum { ON = 1, FED = 0x73 };

u32 ets_wdt_get_mode(void)
{
    return WDT_CONTROL & ON;
}

/* Whether it was on. */
u32 ets_wdt_disable(void)
{
    u32 before = ets_wdt_get_mode();

    WDT_FEED = FED;
    WDT_CONTROL &= ~(u32)ON;
    return before;
}

void ets_wdt_enable(void)
{
    WDT_FEED = FED;
    WDT_CONTROL |= ON;
}

/* What ets_wdt_disable() answered. */
void ets_wdt_restore(u32 before)
{
    if (before)
        ets_wdt_enable();
}

/* Both stages of 2^13 * 0.8 ms, and off. */
void ets_wdt_init(void)
{
    WDT_CONTROL &= ~(u32)ON;
    WDT_STAGE_0 = 13;
    WDT_STAGE_1 = 13;
}
