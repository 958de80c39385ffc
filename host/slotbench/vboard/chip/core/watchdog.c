/* The hardware watchdog: not fed for the first stage's time it raises interrupt 8, for the second's it bites. */
#include "chip.h"

enum { CTRL = 0x0, STAGE1 = 0x4, STAGE2 = 0x8, FEED = 0x14, FEED_WORD = 0x73, ON = 1, UNIT_US = 800 };

static u64 stage_ticks(const struct chip *c, u32 at)
{
    return ((u64)UNIT_US * CHIP_TICKS_PER_US) << (c->io[(0x900 + at) / 4] & 15);
}

void wdt_feed(struct chip *c)
{
    c->wdt.stage = 0;
    c->wdt.due = c->io[(0x900 + CTRL) / 4] & ON ? now(c) + stage_ticks(c, STAGE1) : NEVER;
}

void wdt_events(struct chip *c, u64 tick)
{
    if (tick < c->wdt.due)
        return;
    if (c->wdt.stage == 0) {
        c->wdt.stage = 1;
        c->wdt.due += stage_ticks(c, STAGE2);
        c->count.watchdog_stages++;
        if (c->dport[1] & 1)
            raise_edge(c, INT_WATCHDOG);
    } else {
        c->wdt.due = NEVER;
        stop(c, CHIP_WATCHDOG_BIT, 0);
    }
}

u32 wdt_read(struct chip *c, u32 at)
{
    return c->io[(0x900 + at) / 4];
}

void wdt_write(struct chip *c, u32 at, u32 value)
{
    u32 *reg = &c->io[(0x900 + at) / 4];

    if (at == FEED) {
        if (value == FEED_WORD)
            wdt_feed(c);
        return;
    }
    if (at == CTRL && !((*reg ^ value) & ON)) {
        *reg = value;
        return;
    }
    *reg = value;
    wdt_feed(c);
    look_around(c);
}

void wdt_reset(struct chip *c)
{
    c->wdt.stage = 0;
    c->wdt.due = NEVER;
}
