/* The RTC: counter, reset cause, software reset, deep sleep. Its memory is plain storage in io[]. */
#include "chip.h"

enum {
    CONTROL = 0x0, WAKE_AT = 0x4, SLEEP = 0x8, CAUSE = 0x14, COUNTER = 0x1C, READY = 0x28, STORE = 0x30,
    STORE_BYTES = 16, GPIO16_OUT = 0x68,
    GPIO16_ENABLE = 0x74, GPIO16_IN = 0x8C,
    WAKE_BY = 0x18, BY_TIMER = 8, SLEEP_BIT = 1 << 20, KEEPS_POWER = 0x00800070,
    LIGHT_MOST = 150 * 60000, /* a light sleep of more than a minute is a mistake in the counter's value: go on at once */
    COUNTS_PER_MS = 150
};

static u32 counter(const struct chip *c)
{
    return (u32)((now(c) - c->rtc_base_tick) * COUNTS_PER_MS / (1000 * CHIP_TICKS_PER_US));
}

u32 rtc_read(struct chip *c, u32 at)
{
    u32 value = c->io[(0x700 + at) / 4];

    switch (at) {
    case COUNTER: return counter(c);
    case READY: return value | 1;
    case GPIO16_IN: return (value & ~1u) | (u32)chip_pin(c, 16);
    default: return value;
    }
}

/* Asked to sleep. With the digital part powered down (none of the bits that keep it up) the CPU ends here: deep sleep,
 * to WAKE_AT of the counter when the timer may wake it, else to the reset pin. If not, it goes on at WAKE_AT. */
static void sleep(struct chip *c)
{
    u32 counts = c->io[(0x700 + WAKE_AT) / 4] - counter(c);
    u64 wake = now(c) + (u64)counts * 1000 * CHIP_TICKS_PER_US / COUNTS_PER_MS;

    if (c->io[(0x700 + CONTROL) / 4] & KEEPS_POWER) {
        if (counts <= LIGHT_MOST)
            skip_to(c, wake);
        look_around(c);
        return;
    }
    c->wake_tick = c->io[(0x700 + WAKE_BY) / 4] & BY_TIMER ? wake : NEVER;
    stop(c, CHIP_DEEP_SLEEP, 0);
}

void rtc_write(struct chip *c, u32 at, u32 value)
{
    u32 *reg = &c->io[(0x700 + at) / 4];

    if (at == CAUSE || at == COUNTER)
        return;
    if (at == CONTROL && value >> 31) {
        *reg = value & 0x7FFFFFFF;
        stop(c, CHIP_RESTART, 0);
        return;
    }
    *reg = value;
    if (at == SLEEP && value & SLEEP_BIT)
        sleep(c);
    if (at == GPIO16_OUT || at == GPIO16_ENABLE)
        gpio_changed(c);
}

void rtc_reset(struct chip *c, int cause)
{
    if (cause != CHIP_SOFTWARE)
        c->io[(0x700 + CAUSE) / 4] = (u32)cause;
    /* Power, the reset pin, and a wake, which goes by that pin: the counter begins anew, and so do the words that software keeps
     * here. The SDK takes a word of its own in the first of them to mean that it restarted by itself. */
    if (cause != CHIP_SOFTWARE && cause != CHIP_WATCHDOG) {
        c->rtc_base_tick = now(c);
        memset(&c->io[(0x700 + STORE) / 4], 0, STORE_BYTES);
    }
}
