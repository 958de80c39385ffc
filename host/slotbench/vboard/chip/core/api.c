/* A chip's life: made, reset, run from event to event; time, interrupts, and the debugger's side. */
#include <stdlib.h>

#include "chip.h"

enum { DPORT_EFUSE = 0x50 / 4, RTC_FIRST = 0x700 / 4, RTC_LAST = 0x7FC / 4, RTC_MEM_FIRST = 0x1000 / 4, RTC_MEM_LAST = 0x13FC / 4, LOOK_EVERY = 20000 };

u32 chip_api_version(void)
{
    return CHIP_API_VERSION;
}

struct chip *chip_new(u64 seed)
{
    static const u8 mac[6] = {0x18, 0xFE, 0x34, 0xA1, 0xB2, 0xC3};
    struct chip *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->undo = calloc(UNDO_MOST, sizeof *c->undo);
    c->noted = calloc(UNDO_MOST, sizeof *c->noted);
    if (!c->undo || !c->noted || region_init(&c->rom, c->rom_mem, ROM_BASE, ROM_BYTES)
            || region_init(&c->iram, c->iram_mem, IRAM_BASE, IRAM_BYTES)) {
        chip_free(c);
        return NULL;
    }
    c->seed = seed;
    c->random = seed * 0x9E3779B97F4A7C15u + 0x1234567;
    c->ticks_per_cycle = 2;
    c->straps = 3;
    c->stepping_over = 1;
    c->idle.on = 1;
    c->idle.next_look = LOOK_EVERY;
    chip_stack_mark(c, DRAM_BASE);
    chip_uart_baud(c, 115200);
    timer_reset(c);
    gpio_reset(c);
    memset(c->pin, 0, sizeof c->pin);
    chip_mac(c, mac);
    return c;
}

void chip_free(struct chip *c)
{
    if (!c)
        return;
    free(c->rom.slots);
    free(c->iram.slots);
    for (int i = 0; i < MEGABYTES; i++)
        free(c->flash[i].slots);
    free(c->flash_mem);
    free(c->scratch);
    free(c->undo);
    free(c->noted);
    free(c);
}

u64 now(const struct chip *c)
{
    return c->base_tick + (c->n + c->skipped - c->base_cycle) * c->ticks_per_cycle;
}

void set_cpu_clock(struct chip *c, u32 ticks_per_cycle)
{
    u64 tick = now(c);

    c->base_tick = tick;
    c->base_cycle = c->n + c->skipped;
    c->ticks_per_cycle = ticks_per_cycle;
    if (c->ccompare_due != NEVER)
        ccompare_plan(c);
    look_around(c);
}

void skip_to(struct chip *c, u64 tick)
{
    u64 here = now(c);

    if (tick > here)
        c->skipped += (tick - here + c->ticks_per_cycle - 1) / c->ticks_per_cycle;
}

void look_around(struct chip *c)
{
    c->limit = 0;
}

void stop(struct chip *c, u32 reason, u32 value)
{
    if (!c->stopped) {
        c->stopped = 1;
        c->stop.reason = reason;
        c->stop.value = value;
        c->stop.address = 0;
    }
    look_around(c);
}

void raise_edge(struct chip *c, u32 interrupt)
{
    c->interrupt |= 1u << interrupt;
    look_around(c);
}

void set_level(struct chip *c, u32 interrupt, int on)
{
    if (on) {
        if (!(c->interrupt >> interrupt & 1))
            raise_edge(c, interrupt);
    } else {
        c->interrupt &= ~(1u << interrupt);
    }
}

u64 next_event(struct chip *c)
{
    u64 next = timer_next(c), uart = uart_next(c), parts = parts_next(c);

    if (uart < next)
        next = uart;
    if (parts < next)
        next = parts;
    return c->wdt.due < next ? c->wdt.due : next;
}

u32 next_random(struct chip *c)
{
    u64 x = c->random += 0x9E3779B97F4A7C15u;

    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return (u32)(x >> 32 ^ x);
}

void fill_noise(struct chip *c, u8 *to, u32 bytes)
{
    for (u32 i = 0; i < bytes; i += 4) {
        u32 word = next_random(c);
        memcpy(to + i, &word, 4);
    }
}

static void reset_registers(struct chip *c)
{
    for (u32 i = 0; i < DPORT_BYTES / 4; i++)
        if (i < DPORT_EFUSE || i >= DPORT_EFUSE + 4)
            c->dport[i] = 0;
    for (u32 i = 0; i < IO_BYTES / 4; i++)
        if (!(i >= RTC_FIRST && i <= RTC_LAST) && !(i >= RTC_MEM_FIRST && i <= RTC_MEM_LAST))
            c->io[i] = 0;
}

void chip_reset(struct chip *c, int cause)
{
    if (cause == CHIP_POWER_ON) {
        fill_noise(c, c->dram, DRAM_BYTES);
        fill_noise(c, c->iram_mem, IRAM_BYTES);
        forget_code(c, &c->iram, 0, IRAM_BYTES);
        memset(c->io + RTC_FIRST, 0, (RTC_LAST - RTC_FIRST + 1) * sizeof(u32));
        fill_noise(c, (u8 *)(c->io + RTC_MEM_FIRST), (RTC_MEM_LAST - RTC_MEM_FIRST + 1) * sizeof(u32));
        fill_noise(c, (u8 *)c->a, sizeof c->a);
        c->flash_busy_until = 0;
        c->flash_status = 0;
        c->rx_ring_count = 0;
        c->powered = 1;
    }
    reset_registers(c);
    set_cpu_clock(c, 2);
    c->mac_base_tick = now(c);
    timer_reset(c);
    cpu_reset(c);
    uart_reset(c);
    spi_reset(c);
    wdt_reset(c);
    rtc_reset(c, cause);
    gpio_reset(c);
    bus_map(c);
    c->stopped = 0;
    c->count.resets++;
}

void chip_power_off(struct chip *c)
{
    c->powered = 0;
    look_around(c);
}

void chip_sleep(struct chip *c, u64 ticks)
{
    skip_to(c, now(c) + ticks);
}

static void events(struct chip *c)
{
    u64 tick = now(c);

    if (tick < next_event(c))
        return;
    timer_events(c, tick);
    uart_events(c, tick);
    parts_events(c, tick);
    wdt_events(c, tick);
}

/* Wait for an interrupt: time goes on to what is due next. */
static void wait(struct chip *c, u64 until)
{
    u64 next = next_event(c);

    if (c->pause_idle || (next == NEVER && until == NEVER))
        stop(c, CHIP_IDLE, 0);
    else
        skip_to(c, next < until ? next : until);
}

static void step_over_breakpoint(struct chip *c)
{
    u32 pc = c->pc;
    struct region *g;
    u32 room;

    c->stepping_over = pc;
    if (bus_memory(c, pc, &room, &g) && g)
        forget_code(c, g, pc - g->pc, 1);
    c->limit = c->n + 1;
    cpu_trace(c);
    c->stepping_over = 1;
    if (g)
        forget_code(c, g, pc - g->pc, 1);
}

static struct chip_stop report(struct chip *c)
{
    c->stop.pc = c->pc;
    c->stop.next_tick = next_event(c);
    if (c->stop.reason == CHIP_DEEP_SLEEP)
        c->stop.next_tick = c->wake_tick;
    if (c->stop.reason == CHIP_IDLE && c->idle_until > now(c) && c->idle_until < c->stop.next_tick)
        c->stop.next_tick = c->idle_until;
    c->count.ticks = now(c);
    return c->stop;
}

struct chip_stop chip_run(struct chip *c, u64 until)
{
    int from_breakpoint = c->stop.reason == CHIP_BREAKPOINT && c->stop.pc == c->pc;
    u64 tick, end;

    c->stopped = 0;
    c->until = until;
    c->idle.tracing = 0;
    c->idle.minimum_n = NEVER;
    if (!c->powered)
        stop(c, CHIP_OFF, 0);
    else if (from_breakpoint && is_breakpoint(c, c->pc) && !c->waiting)
        step_over_breakpoint(c);
    while (!c->stopped) {
        events(c);
        if (c->stopped)
            break;
        tick = now(c);
        if (tick >= until) {
            stop(c, CHIP_LIMIT, 0);
            break;
        }
        cpu_interrupts(c);
        if (c->waiting) {
            wait(c, until);
            continue;
        }
        end = next_event(c);
        if (until < end)
            end = until;
        if (c->idle.on && c->n >= c->idle.next_look) {
            idle_look(c, end);
            continue;
        }
        c->limit = end == NEVER ? NEVER : c->n + (end - tick + c->ticks_per_cycle - 1) / c->ticks_per_cycle;
        if (c->idle.on && c->limit > c->idle.next_look)
            c->limit = c->idle.next_look;
        if (c->limit <= c->n)
            continue;
        cpu_run(c);
    }
    return report(c);
}

struct chip_stop chip_step(struct chip *c)
{
    c->stopped = 0;
    c->idle.tracing = 0;
    c->idle.minimum_n = NEVER;
    c->until = NEVER;
    if (!c->powered) {
        stop(c, CHIP_OFF, 0);
        return report(c);
    }
    events(c);
    if (!c->stopped && !cpu_interrupts(c)) {
        if (c->waiting)
            wait(c, NEVER);
        else
            step_over_breakpoint(c);
    }
    if (!c->stopped)
        stop(c, CHIP_LIMIT, 0);
    return report(c);
}

void chip_stop_on(struct chip *c, int reason, int on)
{
    if (reason == CHIP_FAULT)
        c->stop_on_fault = on;
    else if (reason == CHIP_EXCEPTION)
        c->stop_on_exception = on;
    else if (reason == CHIP_OUTPUT)
        c->stop_on_output = on;
}

void chip_idle_skip(struct chip *c, int on)
{
    c->idle.on = on;
    c->idle.next_look = c->n + LOOK_EVERY;
}

void chip_pause_idle(struct chip *c, int on)
{
    c->pause_idle = on;
}

void chip_stack_mark(struct chip *c, u32 floor)
{
    c->stack_floor = floor;
    c->stack_lowest = ~0u;
}

u32 chip_stack_lowest(struct chip *c)
{
    return c->stack_lowest;
}
