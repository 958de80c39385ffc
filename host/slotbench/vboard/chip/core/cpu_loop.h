/* The interpreter, included twice by cpu.c: LOOP_NAME cpu_run, as fast as it goes, and cpu_trace (TRACED 1), which
 * counts each instruction, logs what it overwrites and comes to a halt at an anchor. Computed gotos; op is the program counter.
 */
#define PC() (g->pc + (u32)(i32)(op - g->ops))
#define A(field) a[op->field]
#define DISPATCH() goto *label[op->code]

#if TRACED
#define NEXT(bytes) do { op += (bytes); if (++n >= c->limit) goto leave_here; DISPATCH(); } while (0)
#define ARRIVED() do { \
        u32 pc_ = PC(); \
        if (a[1] > c->idle.best_sp) c->idle.best_sp = a[1], c->idle.best_pc = pc_, c->idle.best_a0 = a[0]; \
        if (n >= c->idle.minimum_n && pc_ == c->idle.anchor_pc && idle_at_anchor(c)) \
            goto leave_here; \
    } while (0)
#define WILL_STORE(offset) do { if (c->idle.tracing) log_store(c, offset); } while (0)
#else
#define NEXT(bytes) do { op += (bytes); n++; DISPATCH(); } while (0)
#define ARRIVED() do { } while (0)
#define WILL_STORE(offset) do { } while (0)
#endif

/* A jump within the region, its target `slots` away. */
#define GO(slots) do { op += (slots); n++; ARRIVED(); if (unlikely(n >= c->limit)) goto leave_here; DISPATCH(); } while (0)
#define BRANCH(condition, bytes) do { if (condition) GO(op->imm); NEXT(bytes); } while (0)
#define NOTE_STACK() do { if (a[1] < c->stack_lowest && a[1] >= c->stack_floor) c->stack_lowest = a[1]; } while (0)
/* A jump to any address. */
#define GO_PC(address) do { target = (address); goto enter; } while (0)

#define LOAD(width, ctype, destination, base, bytes) do { \
        u32 address_ = (base) + (u32)op->imm, offset_ = address_ - DRAM_BASE; \
        if (likely(offset_ < DRAM_BYTES && !(offset_ & ((width) - 1)))) { \
            ctype v_; memcpy(&v_, c->dram + offset_, sizeof v_); \
            destination = (u32)(i32)v_; \
        } else { \
            u32 v_; \
            c->n = n; \
            fault = bus_load(c, address_, width, &v_); \
            if (unlikely(fault)) goto bus_fault; \
            destination = (u32)(i32)(ctype)v_; \
            if (unlikely(c->limit == 0)) { op += (bytes); n++; goto leave_here; } \
        } \
        NEXT(bytes); \
    } while (0)
#define STORE(width, ctype, bytes) do { \
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
        } \
        NEXT(bytes); \
    } while (0)

void LOOP_NAME(struct chip *c)
{
    static const void *const label[OP_COUNT] = {
#define X(name) &&do_##name,
        OPS(X)
#undef X
    };
    u32 *const a = c->a;
    u64 n = c->n;
    u32 target = c->pc, index;
    const struct region *g;
    struct op *op;
    int fault;

    goto enter_first;
enter:
    n++;
enter_first:
    index = (target - ROM_BASE) >> PAGE_SHIFT;
    if (unlikely(index >= CODE_PAGES) || unlikely(!c->page[index])) {
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
    }
    g = c->page[index];
    op = g->ops + (target - g->pc);
    ARRIVED();
    if (unlikely(n >= c->limit))
        goto leave_here;
    DISPATCH();

    do_DECODE: decode(c, g, op); DISPATCH();
    do_OUTSIDE: target = PC(); goto enter_first;
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
    do_NOP: NEXT(3);
    do_NOP_N: NEXT(2);

    do_RET: do_RET_N: GO_PC(a[0]);
    do_JX: GO_PC(A(s));
    do_CALLX0: target = A(s); a[0] = PC() + 3; goto enter;
    do_CALL0: a[0] = PC() + 3; GO(op->imm);
    do_CALL0_FAR: a[0] = PC() + 3; GO_PC((u32)op->imm);
    do_J: GO(op->imm);
    do_J_FAR: GO_PC((u32)op->imm);
    do_RFE: c->ps &= ~(u32)PS_EXCM; target = c->sr[SR_EPC1]; goto leave_at;
    do_RFDE: target = c->sr[SR_DEPC]; goto leave_at;
    do_RFI:
        if (op->s < 2 || op->s > 3) { c->exc_cause = EXC_ILLEGAL; goto raise; }
        c->ps = c->sr[SR_EPS2 - 2 + op->s]; target = c->sr[SR_EPC1 - 1 + op->s]; goto leave_at;
    do_RSIL:
        A(t) = c->ps;
        c->ps = (c->ps & ~(u32)PS_INTLEVEL) | op->s;
        if (unlikely(c->interrupt & c->intenable) && op->s == 0) { op += 3; n++; goto leave_here; }
        NEXT(3);
    do_WAITI: c->ps = (c->ps & ~(u32)PS_INTLEVEL) | op->s; c->waiting = 1; op += 3; n++; goto leave_here;

    do_AND: A(r) = A(s) & A(t); NEXT(3);
    do_OR: A(r) = A(s) | A(t); NEXT(3);
    do_XOR: A(r) = A(s) ^ A(t); NEXT(3);
    do_MOV: A(r) = A(s); NEXT(3);
    do_MOV_N: A(r) = A(s); NEXT(2);
    do_SSR: c->sar = A(s) & 31; NEXT(3);
    do_SSL: c->sar = 32 - (A(s) & 31); NEXT(3);
    do_SSA8L: c->sar = (A(s) & 3) * 8; NEXT(3);
    do_SSA8B: c->sar = 32 - (A(s) & 3) * 8; NEXT(3);
    do_SSAI: c->sar = (u32)op->imm; NEXT(3);
    do_NSA: { u32 v = A(s) ^ (u32)((i32)A(s) >> 31); A(t) = v ? (u32)__builtin_clz(v) - 1 : 31; NEXT(3); }
    do_NSAU: { u32 v = A(s); A(t) = v ? (u32)__builtin_clz(v) : 32; NEXT(3); }
    do_NEG: A(r) = 0u - A(t); NEXT(3);
    do_ABS: { u32 v = A(t); A(r) = v >> 31 ? 0u - v : v; NEXT(3); }
    do_ADD: A(r) = A(s) + A(t); NEXT(3);
    do_ADD_N: A(r) = A(s) + A(t); NEXT(2);
    do_ADDX2: A(r) = (A(s) << 1) + A(t); NEXT(3);
    do_ADDX4: A(r) = (A(s) << 2) + A(t); NEXT(3);
    do_ADDX8: A(r) = (A(s) << 3) + A(t); NEXT(3);
    do_SUB: A(r) = A(s) - A(t); NEXT(3);
    do_SUBX2: A(r) = (A(s) << 1) - A(t); NEXT(3);
    do_SUBX4: A(r) = (A(s) << 2) - A(t); NEXT(3);
    do_SUBX8: A(r) = (A(s) << 3) - A(t); NEXT(3);
    do_ADDI_N: A(r) = A(s) + (u32)op->imm; NEXT(2);
    do_ADDI: A(t) = A(s) + (u32)op->imm; NEXT(3);
    do_ADDI_SP: a[1] = A(s) + (u32)op->imm; NOTE_STACK(); NEXT(3);
    do_SUB_SP: a[1] = A(s) - A(t); NOTE_STACK(); NEXT(3);
    do_MOVI: A(t) = (u32)op->imm; NEXT(3);
    do_MOVI_N: A(s) = (u32)op->imm; NEXT(2);
    do_SLLI: A(r) = (u32)((u64)A(s) << op->imm); NEXT(3);
    do_SRAI: A(r) = (u32)((i32)A(t) >> op->imm); NEXT(3);
    do_SRLI: A(r) = A(t) >> op->imm; NEXT(3);
    do_EXTUI: A(r) = A(t) >> op->s & (u32)op->imm; NEXT(3);
    do_SRC: A(r) = (u32)(((u64)A(s) << 32 | A(t)) >> (c->sar & 63)); NEXT(3);
    do_SRL: A(r) = (u32)((u64)A(t) >> (c->sar & 63)); NEXT(3);
    do_SLL: A(r) = (u32)(((u64)A(s) << 32) >> (c->sar & 63)); NEXT(3);
    do_SRA: A(r) = (u32)((i64)(i32)A(t) >> (c->sar & 63)); NEXT(3);
    do_MUL16U: A(r) = (A(s) & 0xFFFF) * (A(t) & 0xFFFF); NEXT(3);
    do_MUL16S: A(r) = (u32)((i32)(int16_t)A(s) * (int16_t)A(t)); NEXT(3);
    do_MULL: A(r) = A(s) * A(t); NEXT(3);
    do_MOVEQZ: if (A(t) == 0) A(r) = A(s); NEXT(3);
    do_MOVNEZ: if (A(t) != 0) A(r) = A(s); NEXT(3);
    do_MOVLTZ: if ((i32)A(t) < 0) A(r) = A(s); NEXT(3);
    do_MOVGEZ: if ((i32)A(t) >= 0) A(r) = A(s); NEXT(3);

    do_RSR_SAR: A(t) = c->sar; NEXT(3);
    do_RSR_CCOUNT: A(t) = (u32)(n + c->skipped) + c->ccount_offset; NEXT(3);
    do_RSR: A(t) = cpu_rsr(c, (u32)op->imm); NEXT(3);
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

    do_L32R: memcpy(&A(t), g->mem + op->imm, 4); NEXT(3);
    do_L32R_FAR: LOAD(4, u32, A(t), 0u, 3);
    do_L32I: LOAD(4, u32, A(t), A(s), 3);
    do_L32I_N: LOAD(4, u32, A(t), A(s), 2);
    do_L8UI: LOAD(1, u8, A(t), A(s), 3);
    do_L16UI: LOAD(2, u16, A(t), A(s), 3);
    do_L16SI: LOAD(2, int16_t, A(t), A(s), 3);
    do_S32I: STORE(4, u32, 3);
    do_S32I_N: STORE(4, u32, 2);
    do_S16I: STORE(2, u16, 3);
    do_S8I: STORE(1, u8, 3);

    do_BEQZ: BRANCH(A(s) == 0, 3);
    do_BNEZ: BRANCH(A(s) != 0, 3);
    do_BLTZ: BRANCH((i32)A(s) < 0, 3);
    do_BGEZ: BRANCH((i32)A(s) >= 0, 3);
    do_BEQZ_N: BRANCH(A(s) == 0, 2);
    do_BNEZ_N: BRANCH(A(s) != 0, 2);
    do_BEQI: BRANCH((i32)A(s) == b4const[op->r], 3);
    do_BNEI: BRANCH((i32)A(s) != b4const[op->r], 3);
    do_BLTI: BRANCH((i32)A(s) < b4const[op->r], 3);
    do_BGEI: BRANCH((i32)A(s) >= b4const[op->r], 3);
    do_BLTUI: BRANCH(A(s) < (u32)b4constu[op->r], 3);
    do_BGEUI: BRANCH(A(s) >= (u32)b4constu[op->r], 3);
    do_BNONE: BRANCH(!(A(s) & A(t)), 3);
    do_BANY: BRANCH(A(s) & A(t), 3);
    do_BALL: BRANCH(!(~A(s) & A(t)), 3);
    do_BNALL: BRANCH(~A(s) & A(t), 3);
    do_BEQ: BRANCH(A(s) == A(t), 3);
    do_BNE: BRANCH(A(s) != A(t), 3);
    do_BLT: BRANCH((i32)A(s) < (i32)A(t), 3);
    do_BGE: BRANCH((i32)A(s) >= (i32)A(t), 3);
    do_BLTU: BRANCH(A(s) < A(t), 3);
    do_BGEU: BRANCH(A(s) >= A(t), 3);
    do_BBC: BRANCH(!(A(s) >> (A(t) & 31) & 1), 3);
    do_BBS: BRANCH(A(s) >> (A(t) & 31) & 1, 3);
    do_BBCI: BRANCH(!(A(s) >> op->r & 1), 3);
    do_BBSI: BRANCH(A(s) >> op->r & 1, 3);

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
#undef NEXT
#undef ARRIVED
#undef WILL_STORE
#undef GO
#undef BRANCH
#undef NOTE_STACK
#undef GO_PC
#undef LOAD
#undef STORE
#undef LOOP_NAME
#undef TRACED
