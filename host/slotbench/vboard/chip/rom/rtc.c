/* Restarts, the processor's speed, delays. */
#include "special.h"

enum { CAUSE_BITS = 0xF, RESTART = 1u << 31 };

static u32 cpu_mhz = 80;

u32 rtc_get_reset_reason(void)
{
    return RTC_STATE & CAUSE_BITS;
}

void software_reset(void)
{
    RTC_CONTROL |= RESTART;
    for (;;)
        ;
}

void ets_update_cpu_frequency(u32 mhz)
{
    cpu_mhz = mhz;
}

u32 ets_get_cpu_frequency(void)
{
    return cpu_mhz;
}

void ets_delay_us(u32 us)
{
    u32 start = READ_SPECIAL(ccount), cycles = us * cpu_mhz;

    while (READ_SPECIAL(ccount) - start < cycles)
        ;
}
