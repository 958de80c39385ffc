/* The debugger's side: breakpoints, registers, counters, the last exception. */
#include "chip.h"

void chip_breakpoint(struct chip *c, u32 address, int on)
{
    struct region *all[2 + MEGABYTES] = {&c->rom, &c->iram};
    int i;

    for (i = 0; i < c->breakpoints && c->breakpoint[i] != address; i++)
        ;
    if (on && i == c->breakpoints && i < BREAKPOINTS)
        c->breakpoint[c->breakpoints++] = address;
    else if (!on && i < c->breakpoints)
        c->breakpoint[i] = c->breakpoint[--c->breakpoints];
    for (i = 0; i < MEGABYTES; i++)
        all[2 + i] = &c->flash[i];
    for (i = 0; i < 2 + MEGABYTES; i++)
        if (all[i]->slots && address - all[i]->pc < all[i]->bytes)
            forget_code(c, all[i], address - all[i]->pc, 1);
}

void chip_get_registers(struct chip *c, struct chip_registers *to)
{
    memcpy(to->a, c->a, sizeof to->a);
    to->pc = c->pc;
    to->ps = c->ps;
    to->sar = c->sar;
    to->epc1 = cpu_rsr(c, 177);
    to->epc3 = cpu_rsr(c, 179);
    to->depc = cpu_rsr(c, 192);
    to->exccause = cpu_rsr(c, 232);
    to->excvaddr = cpu_rsr(c, 238);
    to->interrupt = c->interrupt;
    to->intenable = c->intenable;
    to->vecbase = c->vecbase;
    to->ccount = cpu_rsr(c, 234);
}

void chip_set_register(struct chip *c, int number, u32 value)
{
    if (number >= 0 && number < 16)
        c->a[number] = value;
    else if (number == 16) {
        c->pc = value;
        c->waiting = 0;
    }
}

u32 chip_special(struct chip *c, int number)
{
    return cpu_rsr(c, (u32)number & 255);
}

void chip_set_special(struct chip *c, int number, u32 value)
{
    cpu_wsr(c, (u32)number & 255, value);
}

void chip_get_counters(struct chip *c, struct chip_counters *to)
{
    c->count.ticks = now(c);
    c->count.cycles = c->n + c->skipped;
    c->count.instructions = c->n;
    c->count.skipped_cycles = c->skipped;
    *to = c->count;
}

void chip_get_exception(struct chip *c, struct chip_exception *to)
{
    *to = c->exception;
}

u64 chip_ticks(struct chip *c)
{
    return now(c);
}
