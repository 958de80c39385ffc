/* FRC1 (counts down 23 bits), FRC2 (counts up 32 bits against an alarm) and the CPU's CCOMPARE0. */
#include "chip.h"

enum { LOAD = 0x0, COUNT = 0x4, CTRL = 0x8, INT = 0xC, ALARM = 0x10, ON = 0x80, RELOAD = 0x40, FIRED = 0x100 };
enum { FRC1_MASK = 0x7FFFFF, SR_CCOMPARE0 = 240 };

static u32 ticks_per_count(u32 ctrl)
{
    static const u32 divider[4] = {1, 16, 256, 256};

    return divider[ctrl >> 2 & 3] * (CHIP_TICKS_PER_US / 80);
}

static u32 frc1_count(const struct chip *c, u64 tick)
{
    if (!(c->frc1.ctrl & ON))
        return c->frc1.value;
    return (c->frc1.value - (u32)((tick - c->frc1.base_tick) / c->frc1.period)) & FRC1_MASK;
}

static u32 frc2_count(const struct chip *c, u64 tick)
{
    if (!(c->frc2.ctrl & ON))
        return c->frc2.value;
    return c->frc2.value + (u32)((tick - c->frc2.base_tick) / c->frc2.period);
}

/* Count from here on with this value, and plan the next time it matters. */
static void frc1_start(struct chip *c, u64 tick, u32 value)
{
    c->frc1.base_tick = tick;
    c->frc1.value = value & FRC1_MASK;
    c->frc1.period = ticks_per_count(c->frc1.ctrl);
    c->frc1.due = NEVER;
    if (c->frc1.ctrl & ON)
        c->frc1.due = tick + (u64)(c->frc1.value ? c->frc1.value : FRC1_MASK + 1) * c->frc1.period;
}

static void frc2_start(struct chip *c, u64 tick, u32 value)
{
    u32 away = c->frc2.alarm - value;

    c->frc2.base_tick = tick;
    c->frc2.value = value;
    c->frc2.period = ticks_per_count(c->frc2.ctrl);
    c->frc2.due = NEVER;
    if (c->frc2.ctrl & ON)
        c->frc2.due = tick + (away ? (u64)away : (u64)1 << 32) * c->frc2.period;
}

void ccompare_plan(struct chip *c)
{
    u64 cycle = c->n + c->skipped;
    u32 away = c->sr[SR_CCOMPARE0] - ((u32)cycle + c->ccount_offset);

    c->ccompare_due = now(c) + (away ? (u64)away : (u64)1 << 32) * c->ticks_per_cycle;
    look_around(c);
}

static void frc1_fire(struct chip *c)
{
    u64 due = c->frc1.due;

    c->frc1.fired = 1;
    frc1_start(c, due, c->frc1.ctrl & RELOAD ? c->frc1.load : 0);
    if ((c->dport[0] & 0x1F) == 0xF)
        raise_edge(c, INT_NMI);
    else if (c->dport[1] >> 1 & 1)
        raise_edge(c, INT_FRC1);
}

void timer_events(struct chip *c, u64 tick)
{
    while (c->frc1.due <= tick)
        frc1_fire(c);
    if (c->frc2.due <= tick) {
        c->frc2.fired = 1;
        frc2_start(c, c->frc2.due, c->frc2.alarm);
        if (c->dport[1] >> 2 & 1)
            raise_edge(c, INT_FRC2);
    }
    if (c->ccompare_due <= tick) {
        c->ccompare_due += ((u64)1 << 32) * c->ticks_per_cycle;
        raise_edge(c, INT_CCOMPARE);
    }
}

u64 timer_next(const struct chip *c)
{
    u64 next = c->frc1.due < c->frc2.due ? c->frc1.due : c->frc2.due;

    return c->ccompare_due < next ? c->ccompare_due : next;
}

u32 frc_read(struct chip *c, u32 at)
{
    u64 tick = now(c);

    if (at < 0x20) {
        switch (at) {
        case LOAD: return c->frc1.load;
        case COUNT: return frc1_count(c, tick);
        case CTRL: return c->frc1.ctrl | (c->frc1.fired ? FIRED : 0);
        case INT: return c->frc1.fired;
        default: return 0;
        }
    }
    switch (at - 0x20) {
    case COUNT: return frc2_count(c, tick);
    case CTRL: return c->frc2.ctrl | (c->frc2.fired ? FIRED : 0);
    case INT: return c->frc2.fired;
    case ALARM: return c->frc2.alarm;
    default: return 0;
    }
}

void frc_write(struct chip *c, u32 at, u32 value)
{
    u64 tick = now(c);
    u32 count;

    if (at == LOAD) {
        c->frc1.load = value & FRC1_MASK;
        frc1_start(c, tick, value);
    } else if (at == CTRL) {
        count = frc1_count(c, tick);
        c->frc1.ctrl = value & 0xFF;
        frc1_start(c, tick, count);
    } else if (at == INT) {
        c->frc1.fired = 0;
    } else if (at == 0x20 + LOAD || at == 0x20 + COUNT) {
        frc2_start(c, tick, value);
    } else if (at == 0x20 + CTRL) {
        count = frc2_count(c, tick);
        c->frc2.ctrl = value & 0xFF;
        frc2_start(c, tick, count);
    } else if (at == 0x20 + ALARM) {
        count = frc2_count(c, tick);
        c->frc2.alarm = value;
        frc2_start(c, c->frc2.ctrl & ON ? tick - (tick - c->frc2.base_tick) % c->frc2.period : tick, count);
    } else if (at == 0x20 + INT) {
        c->frc2.fired = 0;
    }
    look_around(c);
}

void timer_reset(struct chip *c)
{
    memset(&c->frc1, 0, sizeof c->frc1);
    memset(&c->frc2, 0, sizeof c->frc2);
    c->frc1.due = c->frc2.due = c->ccompare_due = NEVER;
    c->frc1.period = c->frc2.period = ticks_per_count(0);
}
