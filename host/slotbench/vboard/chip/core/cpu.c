/* The CPU: special registers, exceptions, interrupts, and the two interpreters. */
#include "chip.h"
#include "instructions.h"
#include "ops.h"

enum {
    SR_SAR = 3, SR_LITBASE = 5, SR_EPC1 = 177, SR_DEPC = 192, SR_EPS2 = 194, SR_EXCSAVE1 = 209,
    SR_INTERRUPT = 226, SR_INTCLEAR = 227, SR_INTENABLE = 228, SR_PS = 230, SR_VECBASE = 231, SR_EXCCAUSE = 232,
    SR_DEBUGCAUSE = 233, SR_CCOUNT = 234, SR_PRID = 235, SR_EXCVADDR = 238, SR_CCOMPARE0 = 240
};
enum { VECTOR_DEBUG = 0x10, VECTOR_NMI = 0x20, VECTOR_KERNEL = 0x30, VECTOR_USER = 0x50, VECTOR_DOUBLE = 0x70 };

#define RESET_PC 0x40000080u
#define EDGES ((1u << INT_SOFTWARE) | (1u << INT_WATCHDOG) | (1u << INT_FRC1) | (1u << INT_FRC2) | (1u << INT_NMI))

static int interrupt_due(const struct chip *c)
{
    if (c->interrupt >> INT_NMI & 1 && (c->ps & PS_INTLEVEL) < 3)
        return 1;
    return (c->interrupt & c->intenable & LEVEL1) && !(c->ps & (PS_EXCM | PS_INTLEVEL));
}

void cpu_reset(struct chip *c)
{
    c->pc = RESET_PC;
    c->ps = 0x1F;
    c->vecbase = ROM_BASE;
    c->litbase = 0;
    c->interrupt = c->intenable = c->level_sources = 0;
    c->waiting = 0;
    c->ccount_offset = (u32)0 - (u32)(c->n + c->skipped);
    c->sr[SR_CCOMPARE0] = 0;
    c->sr[SR_EXCCAUSE] = 0;
    ccompare_plan(c);
}

u32 cpu_rsr(struct chip *c, u32 number)
{
    switch (number) {
    case SR_SAR: return c->sar;
    case SR_LITBASE: return c->litbase;
    case SR_INTERRUPT: return c->interrupt;
    case SR_INTENABLE: return c->intenable;
    case SR_PS: return c->ps;
    case SR_VECBASE: return c->vecbase;
    case SR_CCOUNT: return (u32)(c->n + c->skipped) + c->ccount_offset;
    case SR_PRID: return 0x0000ABAB;
    default: return c->sr[number];
    }
}

void cpu_wsr(struct chip *c, u32 number, u32 value)
{
    switch (number) {
    case SR_SAR: c->sar = value & 63; return;
    case SR_LITBASE:
        if (c->litbase != (value & 0xFFFFF001u)) {
            c->litbase = value & 0xFFFFF001u;
            region_forget_all(&c->rom);
            region_forget_all(&c->iram);
            for (int i = 0; i < MEGABYTES; i++)
                region_forget_all(&c->flash[i]);
            look_around(c);
        }
        return;
    case SR_INTERRUPT: c->interrupt |= value & (1u << INT_SOFTWARE); break;
    case SR_INTCLEAR: c->interrupt &= ~(value & EDGES); break;
    case SR_INTENABLE: c->intenable = value; break;
    case SR_PS: c->ps = value & 0x3F; break;
    case SR_VECBASE: c->vecbase = value; return;
    case SR_CCOUNT: c->idle.dirty = 1; c->ccount_offset = value - (u32)(c->n + c->skipped); ccompare_plan(c); return;
    case SR_CCOMPARE0:
        c->idle.dirty = 1;
        c->sr[number] = value;
        c->interrupt &= ~(1u << INT_CCOMPARE);
        ccompare_plan(c);
        return;
    case SR_EXCCAUSE: c->sr[number] = value & 0x3F; return;
    default: c->sr[number] = value; return;
    }
    if (interrupt_due(c))
        look_around(c);
}

/* Enter the exception handler for exc_cause (and exc_address); pc is the instruction's. */
void cpu_exception(struct chip *c, u32 pc)
{
    u32 cause = c->exc_cause, vector;

    c->sr[SR_EXCCAUSE] = cause;
    if (cause == EXC_FETCH || cause == EXC_LOAD_STORE || cause == EXC_UNALIGNED || cause >= EXC_FETCH_PROHIBITED)
        c->sr[SR_EXCVADDR] = c->exc_address;
    if (c->ps & PS_EXCM) {
        c->sr[SR_DEPC] = pc;
        vector = VECTOR_DOUBLE;
        c->count.double_exceptions++;
    } else {
        c->sr[SR_EPC1] = pc;
        vector = c->ps & PS_UM ? VECTOR_USER : VECTOR_KERNEL;
    }
    if (cause != EXC_LEVEL1) {
        struct chip_exception *e = &c->exception;
        e->count = ++c->count.exceptions;
        e->cause = cause;
        e->pc = pc;
        e->address = c->sr[SR_EXCVADDR];
        e->ps = c->ps;
        memcpy(e->a, c->a, sizeof e->a);
        e->tick = now(c);
        if (c->stop_on_exception || (c->stop_on_fault && vector == VECTOR_DOUBLE)) {
            stop(c, vector == VECTOR_DOUBLE ? CHIP_FAULT : CHIP_EXCEPTION, cause);
            c->stop.address = e->address;
        }
    }
    c->ps |= PS_EXCM;
    c->pc = c->vecbase + vector;
}

static void cpu_debug(struct chip *c, int wide)
{
    c->sr[SR_EPC1 + 1] = c->pc;
    c->sr[SR_EPS2] = c->ps;
    c->sr[SR_DEBUGCAUSE] = wide ? 8 : 16;
    c->ps = (c->ps & ~(u32)PS_INTLEVEL) | PS_EXCM | 2;
    c->pc = c->vecbase + VECTOR_DEBUG;
}

/* Take what is due; 1 when the program counter is now a vector's. */
int cpu_interrupts(struct chip *c)
{
    if (!interrupt_due(c))
        return 0;
    c->waiting = 0;
    if (c->interrupt >> INT_NMI & 1 && (c->ps & PS_INTLEVEL) < 3) {
        c->interrupt &= ~(1u << INT_NMI);
        c->sr[SR_EPC1 + 2] = c->pc;
        c->sr[SR_EPS2 + 1] = c->ps;
        c->ps = (c->ps & ~(u32)PS_INTLEVEL) | PS_EXCM | 3;
        c->pc = c->vecbase + VECTOR_NMI;
        c->count.nmis++;
    } else {
        c->exc_cause = EXC_LEVEL1;
        cpu_exception(c, c->pc);
        c->count.interrupts++;
    }
    return 1;
}

static void log_store(struct chip *c, u32 offset)
{
    struct write *entry = c->undo + c->idle.writes;

    if (c->idle.writes == UNDO_MOST) {
        c->idle.overflow = 1;
        return;
    }
    entry->offset = offset & ~3u;
    memcpy(&entry->old, c->dram + entry->offset, 4);
    c->idle.writes++;
}

/* An aligned word of mapped ROM, instruction RAM or flash; 0: there is none. */
static inline int code_word(const struct chip *c, u32 address, u32 *value)
{
    const u32 index = (address - ROM_BASE) >> PAGE_SHIFT;

    if (index >= CODE_PAGES || address & 3 || !c->page[index])
        return 0;
    memcpy(value, c->page[index]->mem + (address - c->page[index]->pc), 4);
    return 1;
}

#define LOOP_NAME cpu_run
#define TRACED 0
#include "cpu_loop.h"

#define LOOP_NAME cpu_trace
#define TRACED 1
#include "cpu_loop.h"
