/* Waiting loops, found by what they do: skipped in virtual time, so that an idle board costs the host nothing.
 *
 * Now and then one iteration (from where the stack is shallowest back to the same place, stack and return address) is
 * run with a log of what it overwrites. Then it is undone and run again a little later. The loop waits when both runs
 * changed the same things, and all of them came out differently: they come from the clock, and nothing else moves on. A waiting loop is then run at
 * ever later times, as long as it changes nothing but what comes from the clock, and no event is due; a run that does
 * more is undone, and comes at its own time, to within GRAIN. An iteration that touches a device other than to read,
 * or to feed the watchdog, is none. At most STEP is skipped between two looks at what the loop does.
 */
#include "chip.h"

enum {
    LENGTHS = 4, LEVELS = 2 * LENGTHS,
    GRAIN = 16 * CHIP_TICKS_PER_US, /* a multiple of every clock that a program can read: 1, 3.2 and 16 us */
    STEP = 512 * GRAIN,
    DEAD_STACK = 8192, SHORTEST = 64, SOON = 500, LATER = 10000, MISSES = 5
};

/* Half of the levels want the registers alike at both ends of an iteration: for loops that pass their anchor oftener than
 * once. An iteration is given up when it is longer than so many instructions. */
static const u32 at_most[LENGTHS] = {SHORTEST, 600, 5000, 30000};

struct snapshot {
    u32 a[16], pc, ps, sar, intenable, interrupt, sr[256];
    u64 n, skipped;
    int waiting;
};

static void take(const struct chip *c, struct snapshot *s)
{
    memcpy(s->a, c->a, sizeof s->a);
    memcpy(s->sr, c->sr, sizeof s->sr);
    s->pc = c->pc, s->ps = c->ps, s->sar = c->sar, s->intenable = c->intenable, s->interrupt = c->interrupt;
    s->n = c->n, s->skipped = c->skipped, s->waiting = c->waiting;
}

/* Undo what was logged, and the registers. */
static void restore(struct chip *c, const struct snapshot *s)
{
    for (u32 i = c->idle.writes; i-- > 0;)
        memcpy(c->dram + c->undo[i].offset, &c->undo[i].old, 4);
    memcpy(c->a, s->a, sizeof s->a);
    memcpy(c->sr, s->sr, sizeof s->sr);
    c->pc = s->pc, c->ps = s->ps, c->sar = s->sar, c->intenable = s->intenable, c->interrupt = s->interrupt;
    c->n = s->n, c->skipped = s->skipped, c->waiting = s->waiting;
    c->stopped = 0;
}

/* Run from the anchor back to it; 1 when it came back without touching anything. */
static int iterate(struct chip *c, u64 end, u64 most)
{
    struct idle *idle = &c->idle;
    u64 first = c->n, cycles = (end - now(c)) / c->ticks_per_cycle;

    idle->writes = 0;
    idle->dirty = idle->fed = idle->overflow = 0;
    idle->minimum_n = first + 1;
    c->limit = first + (cycles < most ? cycles : most);
    idle->tracing = 1;
    if (c->limit > first)
        cpu_trace(c);
    idle->tracing = 0;
    idle->minimum_n = NEVER;
    idle->called = c->limit == 0;
    return !idle->called && !idle->dirty && !idle->overflow && !c->stopped && !c->waiting && c->n > first && c->pc == idle->anchor_pc
        && idle_at_anchor(c);
}

static void fed(struct chip *c)
{
    if (c->idle.fed)
        wdt_feed(c);
}

/* The first, real iteration: where it began, what it left, and how long it was. */
struct trace {
    struct snapshot start, finish;
    u32 writes;
    u64 length;
};

static void note(struct chip *c, struct trace *t)
{
    take(c, &t->finish);
    t->writes = c->idle.writes;
    t->length = c->n - t->start.n;
    for (u32 i = 0; i < t->writes; i++) {
        c->noted[i] = c->undo[i];
        memcpy(&c->noted[i].after, c->dram + c->undo[i].offset, 4);
    }
}

/* Mark a word in a set; 1 when it was there. */
static int mark(u8 *set, u32 offset)
{
    u32 word = offset / 4, was = set[word / 8] >> (word & 7) & 1;

    set[word / 8] |= (u8)(1 << (word & 7));
    return (int)was;
}

static int has(const u8 *set, u32 offset)
{
    return set[offset / 32] >> (offset / 4 & 7) & 1;
}

/* The stack below the anchor's frame: whatever lies there, nobody reads it again. */
static int is_dead(const struct chip *c, u32 offset)
{
    return c->idle.anchor_a[1] - (DRAM_BASE + offset) - 1 < DEAD_STACK;
}

/* Whether both runs changed the same, and all of it came out differently in the second, which began later: that is
 * noted as the clock's. What neither of them changed has to stay. */
static int only_clock_moves(struct chip *c, const struct trace *t)
{
    struct idle *idle = &c->idle;
    u8 seen[DRAM_BYTES / 32];
    u32 value;

    idle->same_registers = 0;
    for (int i = 0; i < 16; i++) {
        u32 before = t->start.a[i], first = t->finish.a[i], second = c->a[i];
        if (before == first && before == second)
            idle->same_registers |= 1u << i;
        else if (before == first || before == second || first == second)
            return 0;
    }
    if (t->start.ps != t->finish.ps || t->finish.ps != c->ps || t->start.intenable != c->intenable)
        return 0;
    memset(seen, 0, sizeof seen);
    memset(idle->clock_words, 0, sizeof idle->clock_words);
    for (u32 i = 0; i < t->writes; i++) {
        const struct write *w = &c->noted[i];
        if (mark(seen, w->offset) || is_dead(c, w->offset))
            continue;
        memcpy(&value, c->dram + w->offset, 4);
        if (w->old == w->after && w->old == value)
            continue;
        if (w->old == w->after || w->old == value || w->after == value)
            return 0;
        mark(idle->clock_words, w->offset);
    }
    for (u32 i = 0; i < idle->writes; i++) {
        const struct write *w = &c->undo[i];
        if (mark(seen, w->offset) || is_dead(c, w->offset))
            continue;
        memcpy(&value, c->dram + w->offset, 4);
        if (w->old != value)
            return 0;
    }
    return 1;
}

/* Whether the run that just ended changed nothing but what is the clock's. */
static int still_waits(const struct chip *c, const struct snapshot *start)
{
    u8 seen[DRAM_BYTES / 32];
    u32 value;

    if (c->ps != start->ps || c->intenable != start->intenable)
        return 0;
    memset(seen, 0, sizeof seen);
    for (u32 i = 0; i < c->idle.writes; i++) {
        const struct write *w = &c->undo[i];
        if (mark(seen, w->offset) || has(c->idle.clock_words, w->offset) || is_dead(c, w->offset))
            continue;
        memcpy(&value, c->dram + w->offset, 4);
        if (w->old != value)
            return 0;
    }
    return 1;
}

/* Back at the anchor: place, stack, return address, and the registers that must be alike. */
int idle_at_anchor(const struct chip *c)
{
    for (int i = 0; i < 16; i++)
        if (c->idle.same_registers >> i & 1 && c->a[i] != c->idle.anchor_a[i])
            return 0;
    return 1;
}

/* Put back what the first, real run left. */
static void redo(struct chip *c, const struct trace *t)
{
    c->idle.writes = c->idle.writes < UNDO_MOST ? c->idle.writes : UNDO_MOST;
    restore(c, &t->finish);
    for (u32 i = 0; i < t->writes; i++)
        memcpy(c->dram + c->noted[i].offset, &c->noted[i].after, 4);
}

/* From here on the loop waits: go on as long as it does. */
static void skip(struct chip *c, struct trace *t, u64 until)
{
    u64 step = STEP, end;

    while (step >= GRAIN) {
        end = next_event(c);
        end = until < end ? until : end;
        if (end < now(c) + step + 2 * t->length * c->ticks_per_cycle + GRAIN) {
            step = step / 2 / GRAIN * GRAIN;
            continue;
        }
        take(c, &t->start);
        c->skipped += step / c->ticks_per_cycle;
        if (!iterate(c, end, 2 * t->length + SHORTEST) || !still_waits(c, &t->start)) {
            restore(c, &t->start);
            step = step / 2 / GRAIN * GRAIN;
            continue;
        }
        fed(c);
    }
}

/* Watch for a while: where the stack is shallowest, there an iteration begins. 0 when a device was touched. */
static int find_anchor(struct chip *c, u64 end, u64 most)
{
    struct idle *idle = &c->idle;

    idle->best_sp = 0;
    idle->anchor_pc = 1;
    iterate(c, end, most);
    fed(c);
    if (idle->called || idle->dirty || !idle->best_sp || c->stopped || c->waiting)
        return 0;
    idle->anchor_pc = idle->best_pc;
    idle->anchor_a[0] = idle->best_a0;
    idle->anchor_a[1] = idle->best_sp;
    idle->same_registers = 3;
    iterate(c, end, most);
    fed(c);
    return !idle->called && c->pc == idle->anchor_pc && idle_at_anchor(c) && !c->stopped && !c->waiting;
}

static void look_later(struct chip *c, int found)
{
    struct idle *idle = &c->idle;

    if (found) {
        idle->misses = 0;
        idle->next_look = c->n + SOON;
        return;
    }
    idle->level = (idle->level + 1) % LEVELS;
    if (idle->misses < MISSES * LEVELS)
        idle->misses++;
    idle->next_look = c->n + ((u64)LATER << idle->misses / LEVELS);
}

void idle_look(struct chip *c, u64 end)
{
    struct idle *idle = &c->idle;
    u32 most = at_most[idle->level % LENGTHS];
    struct trace t;
    int waits;

    if (end - now(c) < 4 * GRAIN) {
        idle->next_look = c->n + SOON;
        return;
    }
    if (!find_anchor(c, end, most)) {
        look_later(c, 0);
        return;
    }
    take(c, &t.start);
    memcpy(idle->anchor_a, c->a, sizeof c->a);
    idle->same_registers = idle->level >= LENGTHS ? 0xFFFF : 3;
    if (!iterate(c, end, most)) {
        fed(c);
        look_later(c, 0);
        return;
    }
    fed(c);
    note(c, &t);
    if (end < now(c) + 2 * t.length * c->ticks_per_cycle + 2 * GRAIN) {
        look_later(c, 0);
        return;
    }
    restore(c, &t.start);
    c->skipped += GRAIN / c->ticks_per_cycle;
    waits = iterate(c, end, 2 * t.length + SHORTEST) && only_clock_moves(c, &t);
    if (!waits) {
        redo(c, &t);
        look_later(c, 0);
        return;
    }
    fed(c);
    c->count.idle_skips++;
    look_later(c, 1);
    if (c->pause_idle) {
        stop(c, CHIP_IDLE, 0);
        c->idle_until = now(c) + STEP;
        return;
    }
    skip(c, &t, c->until);
    idle->next_look = c->n + SOON;
}
