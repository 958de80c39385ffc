/* What the plain instructions do, for cpu_loop.h: `I_NAME(THEN)`, where THEN(bytes) goes on behind an instruction of so many
 * bytes. With NEXT it is an instruction by itself; with STEP it is a part of a sequence (sequences.h), which needs one jump.
 */
#define I_NOP(THEN) THEN(3)
#define I_NOP_N(THEN) THEN(2)
#define I_RET(THEN) GO_PC(a[0])
#define I_RET_N(THEN) GO_PC(a[0])
#define I_CALLX0(THEN) target = A(s); a[0] = PC() + 3; GO_PC(target)
#define I_RSIL(THEN) \
    A(t) = c->ps; \
    c->ps = (c->ps & ~(u32)PS_INTLEVEL) | op->s; \
    if (unlikely(c->interrupt & c->intenable) && op->s == 0) { op += 3; n++; goto leave_here; } \
    THEN(3)
#define I_JX(THEN) GO_PC(A(s))
#define I_CALL0(THEN) a[0] = PC() + 3; GO(op->imm)
#define I_CALL0_FAR(THEN) a[0] = PC() + 3; GO_PC((u32)op->imm)
#define I_J(THEN) GO(op->imm)
#define I_J_FAR(THEN) GO_PC((u32)op->imm)
#define I_AND(THEN) A(r) = A(s) & A(t); THEN(3)
#define I_OR(THEN) A(r) = A(s) | A(t); THEN(3)
#define I_XOR(THEN) A(r) = A(s) ^ A(t); THEN(3)
#define I_MOV(THEN) A(r) = A(s); THEN(3)
#define I_MOV_N(THEN) A(r) = A(s); THEN(2)
#define I_SSR(THEN) c->sar = A(s) & 31; THEN(3)
#define I_SSL(THEN) c->sar = 32 - (A(s) & 31); THEN(3)
#define I_SSA8L(THEN) c->sar = (A(s) & 3) * 8; THEN(3)
#define I_SSA8B(THEN) c->sar = 32 - (A(s) & 3) * 8; THEN(3)
#define I_SSAI(THEN) c->sar = (u32)op->imm; THEN(3)
#define I_NSA(THEN) { u32 v = A(s) ^ (u32)((i32)A(s) >> 31); A(t) = v ? (u32)__builtin_clz(v) - 1 : 31; THEN(3); }
#define I_NSAU(THEN) { u32 v = A(s); A(t) = v ? (u32)__builtin_clz(v) : 32; THEN(3); }
#define I_NEG(THEN) A(r) = 0u - A(t); THEN(3)
#define I_ABS(THEN) { u32 v = A(t); A(r) = v >> 31 ? 0u - v : v; THEN(3); }
#define I_ADD(THEN) A(r) = A(s) + A(t); THEN(3)
#define I_ADD_N(THEN) A(r) = A(s) + A(t); THEN(2)
#define I_ADDX2(THEN) A(r) = (A(s) << 1) + A(t); THEN(3)
#define I_ADDX4(THEN) A(r) = (A(s) << 2) + A(t); THEN(3)
#define I_ADDX8(THEN) A(r) = (A(s) << 3) + A(t); THEN(3)
#define I_SUB(THEN) A(r) = A(s) - A(t); THEN(3)
#define I_SUBX2(THEN) A(r) = (A(s) << 1) - A(t); THEN(3)
#define I_SUBX4(THEN) A(r) = (A(s) << 2) - A(t); THEN(3)
#define I_SUBX8(THEN) A(r) = (A(s) << 3) - A(t); THEN(3)
#define I_ADDI_N(THEN) A(r) = A(s) + (u32)op->imm; THEN(2)
#define I_ADDI(THEN) A(t) = A(s) + (u32)op->imm; THEN(3)
#define I_ADDI_SP(THEN) a[1] = A(s) + (u32)op->imm; NOTE_STACK(); THEN(3)
#define I_SUB_SP(THEN) a[1] = A(s) - A(t); NOTE_STACK(); THEN(3)
#define I_MOVI(THEN) A(t) = (u32)op->imm; THEN(3)
#define I_MOVI_N(THEN) A(s) = (u32)op->imm; THEN(2)
#define I_SLLI(THEN) A(r) = (u32)((u64)A(s) << op->imm); THEN(3)
#define I_SRAI(THEN) A(r) = (u32)((i32)A(t) >> op->imm); THEN(3)
#define I_SRLI(THEN) A(r) = A(t) >> op->imm; THEN(3)
#define I_EXTUI(THEN) A(r) = A(t) >> op->s & (u32)op->imm; THEN(3)
#define I_SRC(THEN) A(r) = (u32)(((u64)A(s) << 32 | A(t)) >> (c->sar & 63)); THEN(3)
#define I_SRL(THEN) A(r) = (u32)((u64)A(t) >> (c->sar & 63)); THEN(3)
#define I_SLL(THEN) A(r) = (u32)(((u64)A(s) << 32) >> (c->sar & 63)); THEN(3)
#define I_SRA(THEN) A(r) = (u32)((i64)(i32)A(t) >> (c->sar & 63)); THEN(3)
#define I_MUL16U(THEN) A(r) = (A(s) & 0xFFFF) * (A(t) & 0xFFFF); THEN(3)
#define I_MUL16S(THEN) A(r) = (u32)((i32)(int16_t)A(s) * (int16_t)A(t)); THEN(3)
#define I_MULL(THEN) A(r) = A(s) * A(t); THEN(3)
#define I_MOVEQZ(THEN) if (A(t) == 0) A(r) = A(s); THEN(3)
#define I_MOVNEZ(THEN) if (A(t) != 0) A(r) = A(s); THEN(3)
#define I_MOVLTZ(THEN) if ((i32)A(t) < 0) A(r) = A(s); THEN(3)
#define I_MOVGEZ(THEN) if ((i32)A(t) >= 0) A(r) = A(s); THEN(3)
#define I_RSR_SAR(THEN) A(t) = c->sar; THEN(3)
#define I_RSR_CCOUNT(THEN) A(t) = (u32)(n + c->skipped) + c->ccount_offset; THEN(3)
#define I_RSR(THEN) A(t) = cpu_rsr(c, (u32)op->imm); THEN(3)
#define I_L32R(THEN) memcpy(&A(t), g->mem + op->imm, 4); THEN(3)
#define I_L32I(THEN) LOAD(4, u32, A(t), A(s), THEN, 3)
#define I_L32I_N(THEN) LOAD(4, u32, A(t), A(s), THEN, 2)
#define I_L8UI(THEN) LOAD(1, u8, A(t), A(s), THEN, 3)
#define I_L16UI(THEN) LOAD(2, u16, A(t), A(s), THEN, 3)
#define I_L16SI(THEN) LOAD(2, int16_t, A(t), A(s), THEN, 3)
#define I_S32I(THEN) STORE(4, u32, THEN, 3)
#define I_S32I_N(THEN) STORE(4, u32, THEN, 2)
#define I_S16I(THEN) STORE(2, u16, THEN, 3)
#define I_S8I(THEN) STORE(1, u8, THEN, 3)
#define I_BEQZ(THEN) BRANCH(A(s) == 0, THEN, 3)
#define I_BNEZ(THEN) BRANCH(A(s) != 0, THEN, 3)
#define I_BLTZ(THEN) BRANCH((i32)A(s) < 0, THEN, 3)
#define I_BGEZ(THEN) BRANCH((i32)A(s) >= 0, THEN, 3)
#define I_BEQZ_N(THEN) BRANCH(A(s) == 0, THEN, 2)
#define I_BNEZ_N(THEN) BRANCH(A(s) != 0, THEN, 2)
#define I_BEQI(THEN) BRANCH((i32)A(s) == b4const[op->r], THEN, 3)
#define I_BNEI(THEN) BRANCH((i32)A(s) != b4const[op->r], THEN, 3)
#define I_BLTI(THEN) BRANCH((i32)A(s) < b4const[op->r], THEN, 3)
#define I_BGEI(THEN) BRANCH((i32)A(s) >= b4const[op->r], THEN, 3)
#define I_BLTUI(THEN) BRANCH(A(s) < (u32)b4constu[op->r], THEN, 3)
#define I_BGEUI(THEN) BRANCH(A(s) >= (u32)b4constu[op->r], THEN, 3)
#define I_BNONE(THEN) BRANCH(!(A(s) & A(t)), THEN, 3)
#define I_BANY(THEN) BRANCH(A(s) & A(t), THEN, 3)
#define I_BALL(THEN) BRANCH(!(~A(s) & A(t)), THEN, 3)
#define I_BNALL(THEN) BRANCH(~A(s) & A(t), THEN, 3)
#define I_BEQ(THEN) BRANCH(A(s) == A(t), THEN, 3)
#define I_BNE(THEN) BRANCH(A(s) != A(t), THEN, 3)
#define I_BLT(THEN) BRANCH((i32)A(s) < (i32)A(t), THEN, 3)
#define I_BGE(THEN) BRANCH((i32)A(s) >= (i32)A(t), THEN, 3)
#define I_BLTU(THEN) BRANCH(A(s) < A(t), THEN, 3)
#define I_BGEU(THEN) BRANCH(A(s) >= A(t), THEN, 3)
#define I_BBC(THEN) BRANCH(!(A(s) >> (A(t) & 31) & 1), THEN, 3)
#define I_BBS(THEN) BRANCH(A(s) >> (A(t) & 31) & 1, THEN, 3)
#define I_BBCI(THEN) BRANCH(!(A(s) >> op->r & 1), THEN, 3)
#define I_BBSI(THEN) BRANCH(A(s) >> op->r & 1, THEN, 3)

/* SSA8L, SRLI 2, SLLI 2, L32I.N 0, SRL, EXTUI 0 8: how a compiler for this CPU loads a byte from where only words can be
 * loaded. A load that is no plain one is left to the instruction itself. */
#define I_BYTE(THEN) { \
        const u32 from_ = A(s), to_ = op[9].t; \
        u32 word_; \
        c->sar = (from_ & 3) * 8; \
        op += 9; \
        n += 3; \
        if (likely((from_ & ~3u) - DRAM_BASE < DRAM_BYTES)) { \
            memcpy(&word_, c->dram + ((from_ & ~3u) - DRAM_BASE), 4); \
        } else if (unlikely(!code_word(c, from_ & ~3u, &word_))) { \
            a[to_] = from_ & ~3u; \
            goto do_L32I_N; \
        } \
        a[to_] = word_ >> c->sar & 0xFF; \
        op += 5; \
        n += 2; \
        THEN(3); \
    }
