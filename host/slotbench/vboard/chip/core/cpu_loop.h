/* The interpreter, included twice by cpu.c: LOOP_NAME cpu_run, as fast as it goes, and cpu_trace (TRACED 1), which
 * counts each instruction, logs what it overwrites and comes to a halt at an anchor. Computed gotos; op is the program counter.
 * Near its limit, cpu_trace takes the code of a sequence for that of its first instruction.
 */
#define PC() (g->pc + (u32)(i32)(op - g->ops))
#define A(field) a[op->field]
#define DISPATCH() goto *label[op->code]
#define LABEL(name) LABEL_(name)
#define LABEL_(name) do_##name

#define STEP(bytes) do { op += (bytes); n++; } while (0)
#if TRACED
#define NEXT(bytes) do { op += (bytes); if (unlikely(++n >= bound)) goto at_bound; DISPATCH(); } while (0)
#define ARRIVED() do { \
        u32 pc_ = PC(); \
        if (a[1] > c->idle.best_sp) c->idle.best_sp = a[1], c->idle.best_pc = pc_, c->idle.best_a0 = a[0]; \
        if (n >= c->idle.minimum_n && pc_ == c->idle.anchor_pc && idle_at_anchor(c)) \
            goto leave_here; \
    } while (0)
#define WILL_STORE(offset) do { if (c->idle.tracing) log_store(c, offset); } while (0)
#define BOUND bound
#else
#define NEXT(bytes) do { op += (bytes); n++; DISPATCH(); } while (0)
#define ARRIVED() do { } while (0)
#define WILL_STORE(offset) do { } while (0)
#define BOUND c->limit
#endif

/* A jump within the region, its target `slots` away. */
#define GO(slots) do { op += (slots); n++; ARRIVED(); if (unlikely(n >= BOUND)) goto at_bound; DISPATCH(); } while (0)
#define BRANCH(condition, THEN, bytes) do { if (condition) GO(op->imm); THEN(bytes); } while (0)
#define NOTE_STACK() do { if (a[1] < c->stack_lowest && a[1] >= c->stack_floor) c->stack_lowest = a[1]; } while (0)
/* A jump to any address. */
#define GO_PC(address) do { \
        target = (address); \
        n++; \
        index = (target - ROM_BASE) >> PAGE_SHIFT; \
        if (unlikely(index >= CODE_PAGES) || unlikely(!c->page[index])) goto nowhere; \
        g = c->page[index]; \
        op = g->ops + (target - g->pc); \
        ARRIVED(); \
        if (unlikely(n >= BOUND)) goto at_bound; \
        DISPATCH(); \
    } while (0)

/* What is no plain memory is the bus's; behind that no sequence goes on, for it may have changed code. */
#define LOAD(width, ctype, destination, base, THEN, bytes) do { \
        u32 address_ = (base) + (u32)op->imm, offset_ = address_ - DRAM_BASE, v_; \
        if (likely(offset_ < DRAM_BYTES && !(offset_ & ((width) - 1)))) { \
            ctype plain_; memcpy(&plain_, c->dram + offset_, sizeof plain_); \
            destination = (u32)(i32)plain_; \
        } else if ((width) == 4 && code_word(c, address_, &v_)) { \
            destination = v_; \
        } else { \
            c->n = n; \
            fault = bus_load(c, address_, width, &v_); \
            if (unlikely(fault)) goto bus_fault; \
            destination = (u32)(i32)(ctype)v_; \
            if (unlikely(c->limit == 0)) { op += (bytes); n++; goto leave_here; } \
            NEXT(bytes); \
        } \
        THEN(bytes); \
    } while (0)
#define STORE(width, ctype, THEN, bytes) do { \
        u32 address_ = A(s) + (u32)op->imm, offset_ = address_ - DRAM_BASE; \
        if (likely(offset_ < DRAM_BYTES && !(offset_ & ((width) - 1)))) { \
            ctype v_ = (ctype)A(t); \
            WILL_STORE(offset_); \
            memcpy(c->dram + offset_, &v_, sizeof v_); \
        } else { \
            c->n = n; \
            fault = bus_store(c, address_, width, A(t)); \
            if (unlikely(fault)) goto bus_fault; \
            if (unlikely(c->limit == 0)) { op += (bytes); n++; goto leave_here; } \
            NEXT(bytes); \
        } \
        THEN(bytes); \
    } while (0)

void LOOP_NAME(struct chip *c)
{
    static const void *const sequences[OP_COUNT] = {
#define X(name) [OP_##name] = &&do_##name,
        SPECIAL_OPS(X) PLAIN_OPS(X) X(BYTE)
#undef X
#define X(name, first, others) [OP_##name] = &&do_##name,
        SEQUENCES(X)
#undef X
    };
#if TRACED
    static const void *const singles[OP_COUNT] = {
#define X(name) [OP_##name] = &&do_##name,
        SPECIAL_OPS(X) PLAIN_OPS(X)
#undef X
        [OP_BYTE] = &&do_SSA8L,
#define BYTE SSA8L
#define X(name, first, others) [OP_##name] = &&LABEL(first),
        SEQUENCES(X)
#undef X
#undef BYTE
    };
    const void *const *label = sequences;
    u64 bound = c->limit > SEQUENCE_BYTES ? c->limit - SEQUENCE_BYTES : 0;
#else
    const void *const *const label = sequences;
#endif
    u32 *const a = c->a;
    u64 n = c->n;
    u32 target = c->pc, index;
    const struct region *g;
    struct op *op;
    int fault;

    n--;
    GO_PC(c->pc);

nowhere:
    c->pc = target;
    c->n = n;
    if (is_breakpoint(c, target)) {
        stop(c, CHIP_BREAKPOINT, 0);
        return;
    }
    c->exc_cause = fetch_cause(target);
    c->exc_address = target;
    cpu_exception(c, target);
    return;

    do_DECODE: decode_ahead(c, g, op); DISPATCH();
    do_OUTSIDE: n--; GO_PC(PC());
    do_FETCH_FAULT: c->exc_cause = EXC_FETCH; c->exc_address = PC(); goto raise;
    do_ILLEGAL: do_SIMCALL: c->exc_cause = EXC_ILLEGAL; goto raise;
    do_SYSCALL: c->exc_cause = EXC_SYSCALL; goto raise;
    do_BREAKPOINT: c->n = n; c->pc = PC(); stop(c, CHIP_BREAKPOINT, 0); return;
    do_BREAK: do_BREAK_N:
        if ((c->ps & PS_INTLEVEL) >= 2) {
            if (op->code == OP_BREAK) NEXT(3);
            NEXT(2);
        }
        c->pc = PC(); c->n = n + 1; cpu_debug(c, op->code == OP_BREAK); return;
    do_RFE: c->ps &= ~(u32)PS_EXCM; target = c->sr[SR_EPC1]; goto leave_at;
    do_RFDE: target = c->sr[SR_DEPC]; goto leave_at;
    do_RFI:
        if (op->s < 2 || op->s > 3) { c->exc_cause = EXC_ILLEGAL; goto raise; }
        c->ps = c->sr[SR_EPS2 - 2 + op->s]; target = c->sr[SR_EPC1 - 1 + op->s]; goto leave_at;
    do_WAITI: c->ps = (c->ps & ~(u32)PS_INTLEVEL) | op->s; c->waiting = 1; op += 3; n++; goto leave_here;
    do_XSR: {
        u32 v = A(t);
        c->n = n;
        A(t) = cpu_rsr(c, (u32)op->imm);
        cpu_wsr(c, (u32)op->imm, v);
        goto special_written;
    }
    do_WSR: c->n = n; cpu_wsr(c, (u32)op->imm, A(t));
special_written:
    if (unlikely(c->limit == 0)) { op += 3; n++; goto leave_here; }
    NEXT(3);
    do_L32R_FAR: LOAD(4, u32, A(t), 0u, NEXT, 3);

#define X(name) do_##name: I_##name(NEXT);
    PLAIN_OPS(X)
#undef X
    do_BYTE: I_BYTE(NEXT);
#define PART(name) I_##name(STEP);
#define LAST(name) I_##name(NEXT);
#define X(name, first, others) do_##name: PART(first) others
    SEQUENCES(X)
#undef X
#undef LAST
#undef PART

at_bound:
#if TRACED
    if (n < c->limit) {
        bound = c->limit;
        label = singles;
        DISPATCH();
    }
#endif
    goto leave_here;
bus_fault:
    if (fault == BUS_REFUSED)
        goto leave_here;
raise:
    c->n = n + 1;
    cpu_exception(c, PC());
    return;
leave_at:
    c->pc = target;
    c->n = n + 1;
    return;
leave_here:
    c->pc = PC();
    c->n = n;
}

#undef PC
#undef A
#undef DISPATCH
#undef LABEL
#undef LABEL_
#undef NEXT
#undef STEP
#undef ARRIVED
#undef WILL_STORE
#undef BOUND
#undef GO
#undef BRANCH
#undef NOTE_STACK
#undef GO_PC
#undef LOAD
#undef STORE
#undef LOOP_NAME
#undef TRACED
