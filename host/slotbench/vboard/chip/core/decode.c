/* Machine code to decoded slots: core, density, MUL16, MULL, NSA of the Xtensa ISA; all else is illegal, as on the lx106. */
#include <stdlib.h>

#include "chip.h"
#include "ops.h"

const i32 b4const[16] = {-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256};
const i32 b4constu[16] = {32768, 65536, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256};

int region_init(struct region *g, u8 *mem, u32 pc, u32 bytes)
{
    g->slots = calloc((size_t)bytes + 2 * SLACK, sizeof(struct op));
    if (!g->slots)
        return -1;
    g->ops = g->slots + SLACK;
    g->mem = mem;
    g->pc = pc;
    g->bytes = bytes;
    return 0;
}

void region_forget_all(struct region *g)
{
    if (g->slots)
        memset(g->slots, 0, ((size_t)g->bytes + 2 * SLACK) * sizeof(struct op));
}

/* Bytes of a region changed: the instructions and sequences that they belong to are decoded anew. What lies before the bytes keeps
 * its operands: it may be a part of a sequence that ends before them.
 */
void forget_code(struct chip *c, struct region *g, u32 offset, u32 bytes)
{
    (void)c;
    if (!g->slots)
        return;
    for (i32 at = (i32)offset - SEQUENCE_BYTES; at < (i32)offset; at++)
        g->ops[at].code = 0;
    memset(g->ops + offset, 0, (size_t)bytes * sizeof(struct op));
}

int is_breakpoint(const struct chip *c, u32 pc)
{
    for (int i = 0; i < c->breakpoints; i++)
        if (c->breakpoint[i] == pc && pc != c->stepping_over)
            return 1;
    return 0;
}

static i32 sign(u32 value, int bits)
{
    return (i32)(value << (32 - bits)) >> (32 - bits);
}

static void set(struct op *op, enum op_code code, u32 r, u32 s, u32 t, i32 imm)
{
    op->code = (u8)code;
    op->r = (u8)r;
    op->s = (u8)s;
    op->t = (u8)t;
    op->imm = imm;
}

/* r: 0 SNM0, 2 SYNC, 3 RFEI and so on. */
static void decode_st0(struct op *op, u32 r, u32 s, u32 t)
{
    switch (r) {
    case 0:
        if (t == 8)
            set(op, OP_RET, 0, s, 0, 0);
        else if (t == 10)
            set(op, OP_JX, 0, s, 0, 0);
        else if (t == 12)
            set(op, OP_CALLX0, 0, s, 0, 0);
        break;
    case 2:
        if (t <= 3 || t == 8 || t == 12 || t == 13 || t == 15)
            set(op, OP_NOP, 0, 0, 0, 0);
        break;
    case 3:
        if (t == 0 && s == 0)
            set(op, OP_RFE, 0, 0, 0, 0);
        else if (t == 0 && s == 2)
            set(op, OP_RFDE, 0, 0, 0, 0);
        else if (t == 1)
            set(op, OP_RFI, 0, s, 0, 0);
        break;
    case 4:
        set(op, OP_BREAK, 0, s, t, 0);
        break;
    case 5:
        if (s == 0)
            set(op, OP_SYSCALL, 0, 0, 0, 0);
        else if (s == 1)
            set(op, OP_SIMCALL, 0, 0, 0, 0);
        break;
    case 6:
        set(op, OP_RSIL, 0, s, t, 0);
        break;
    case 7:
        if (t == 0)
            set(op, OP_WAITI, 0, s, 0, 0);
        break;
    default:
        break;
    }
}

static void decode_st1(struct op *op, u32 r, u32 s, u32 t)
{
    switch (r) {
    case 0: set(op, OP_SSR, 0, s, 0, 0); break;
    case 1: set(op, OP_SSL, 0, s, 0, 0); break;
    case 2: set(op, OP_SSA8L, 0, s, 0, 0); break;
    case 3: set(op, OP_SSA8B, 0, s, 0, 0); break;
    case 4: set(op, OP_SSAI, 0, 0, 0, (i32)(s | (t & 1) << 4)); break;
    case 14: set(op, OP_NSA, 0, s, t, 0); break;
    case 15: set(op, OP_NSAU, 0, s, t, 0); break;
    default: break;
    }
}

static void decode_rst0(struct op *op, u32 op2, u32 r, u32 s, u32 t)
{
    static const u8 simple[16] = {
        [1] = OP_AND, [2] = OP_OR, [3] = OP_XOR, [8] = OP_ADD, [9] = OP_ADDX2, [10] = OP_ADDX4, [11] = OP_ADDX8,
        [12] = OP_SUB, [13] = OP_SUBX2, [14] = OP_SUBX4, [15] = OP_SUBX8};

    if (op2 == 0)
        decode_st0(op, r, s, t);
    else if (op2 == 4)
        decode_st1(op, r, s, t);
    else if (op2 == 5)
        /* Region protection is not modelled: what the TLB is told is taken as done. */
        set(op, OP_NOP, 0, 0, 0, 0);
    else if (op2 == 6 && s <= 1)
        set(op, s ? OP_ABS : OP_NEG, r, 0, t, 0);
    else if (op2 == 2 && s == t)
        set(op, OP_MOV, r, s, 0, 0);
    else if (op2 == 12 && r == 1)
        set(op, OP_SUB_SP, r, s, t, 0);
    else if (simple[op2])
        set(op, simple[op2], r, s, t, 0);
}

static void decode_rst1(struct op *op, u32 op2, u32 r, u32 s, u32 t)
{
    switch (op2) {
    case 0: case 1: set(op, OP_SLLI, r, s, 0, (i32)(32 - (t | (op2 & 1) << 4))); break;
    case 2: case 3: set(op, OP_SRAI, r, 0, t, (i32)(s | (op2 & 1) << 4)); break;
    case 4: set(op, OP_SRLI, r, 0, t, (i32)s); break;
    case 6: set(op, OP_XSR, 0, 0, t, (i32)(r << 4 | s)); break;
    case 8: set(op, OP_SRC, r, s, t, 0); break;
    case 9: if (s == 0) set(op, OP_SRL, r, 0, t, 0); break;
    case 10: if (t == 0) set(op, OP_SLL, r, s, 0, 0); break;
    case 11: if (s == 0) set(op, OP_SRA, r, 0, t, 0); break;
    case 12: set(op, OP_MUL16U, r, s, t, 0); break;
    case 13: set(op, OP_MUL16S, r, s, t, 0); break;
    default: break;
    }
}

static void decode_rst3(struct op *op, u32 op2, u32 r, u32 s, u32 t)
{
    u32 number = r << 4 | s;

    switch (op2) {
    case 0: set(op, number == 3 ? OP_RSR_SAR : number == 234 ? OP_RSR_CCOUNT : OP_RSR, 0, 0, t, (i32)number); break;
    case 1: set(op, OP_WSR, 0, 0, t, (i32)number); break;
    case 8: set(op, OP_MOVEQZ, r, s, t, 0); break;
    case 9: set(op, OP_MOVNEZ, r, s, t, 0); break;
    case 10: set(op, OP_MOVLTZ, r, s, t, 0); break;
    case 11: set(op, OP_MOVGEZ, r, s, t, 0); break;
    default: break;
    }
}

static void decode_qrst(struct op *op, u32 w, u32 r, u32 s, u32 t)
{
    u32 op1 = w >> 16 & 15, op2 = w >> 20 & 15;

    switch (op1) {
    case 0: decode_rst0(op, op2, r, s, t); break;
    case 1: decode_rst1(op, op2, r, s, t); break;
    case 2: if (op2 == 8) set(op, OP_MULL, r, s, t, 0); break;
    case 3: decode_rst3(op, op2, r, s, t); break;
    case 4: case 5: set(op, OP_EXTUI, r, s | (op1 & 1) << 4, t, (i32)((2u << op2) - 1)); break;
    default: break;
    }
}

static void decode_lsai(struct op *op, u32 w, u32 r, u32 s, u32 t)
{
    i32 imm8 = (i32)(w >> 16 & 0xFF);

    switch (r) {
    case 0: set(op, OP_L8UI, 0, s, t, imm8); break;
    case 1: set(op, OP_L16UI, 0, s, t, imm8 * 2); break;
    case 2: set(op, OP_L32I, 0, s, t, imm8 * 4); break;
    case 4: set(op, OP_S8I, 0, s, t, imm8); break;
    case 5: set(op, OP_S16I, 0, s, t, imm8 * 2); break;
    case 6: set(op, OP_S32I, 0, s, t, imm8 * 4); break;
    case 9: set(op, OP_L16SI, 0, s, t, imm8 * 2); break;
    case 10: set(op, OP_MOVI, 0, 0, t, sign(s << 8 | (u32)imm8, 12)); break;
    case 12: set(op, t == 1 ? OP_ADDI_SP : OP_ADDI, 0, s, t, sign((u32)imm8, 8)); break;
    case 13: set(op, t == 1 ? OP_ADDI_SP : OP_ADDI, 0, s, t, (i32)((u32)sign((u32)imm8, 8) << 8)); break;
    default: break;
    }
}

static void decode_jump(const struct region *g, struct op *op, u32 pc, enum op_code near, enum op_code far, u32 target)
{
    u32 offset = target - g->pc;

    if (offset < g->bytes)
        set(op, near, 0, 0, 0, (i32)(target - pc));
    else
        set(op, far, 0, 0, 0, (i32)target);
}

static void decode_si(const struct region *g, struct op *op, u32 w, u32 pc, u32 r, u32 s)
{
    static const u8 zero[4] = {OP_BEQZ, OP_BNEZ, OP_BLTZ, OP_BGEZ}, constant[4] = {OP_BEQI, OP_BNEI, OP_BLTI, OP_BGEI};
    u32 m = w >> 6 & 3;
    i32 imm8 = sign(w >> 16 & 0xFF, 8) + 4;

    switch (w >> 4 & 3) {
    case 0:
        decode_jump(g, op, pc, OP_J, OP_J_FAR, pc + 4 + (u32)sign(w >> 6, 18));
        break;
    case 1:
        set(op, zero[m], 0, s, 0, sign(w >> 12, 12) + 4);
        break;
    case 2:
        set(op, constant[m], r, s, 0, imm8);
        break;
    default:
        if (m >= 2)
            set(op, m == 2 ? OP_BLTUI : OP_BGEUI, r, s, 0, imm8);
        break;
    }
}

static void decode_branch(struct op *op, u32 w, u32 r, u32 s, u32 t)
{
    static const u8 kind[16] = {
        OP_BNONE, OP_BEQ, OP_BLT, OP_BLTU, OP_BALL, OP_BBC, OP_BBCI, OP_BBCI,
        OP_BANY, OP_BNE, OP_BGE, OP_BGEU, OP_BNALL, OP_BBS, OP_BBSI, OP_BBSI};
    i32 displacement = sign(w >> 16 & 0xFF, 8) + 4;

    if ((r & 7) >= 6)
        set(op, kind[r], t | (r & 1) << 4, s, 0, displacement);
    else
        set(op, kind[r], 0, s, t, displacement);
}

static void decode_narrow(struct op *op, u32 w, u32 r, u32 s, u32 t)
{
    i32 imm;

    switch (w & 15) {
    case 8: set(op, OP_L32I_N, 0, s, t, (i32)r * 4); break;
    case 9: set(op, OP_S32I_N, 0, s, t, (i32)r * 4); break;
    case 10: set(op, OP_ADD_N, r, s, t, 0); break;
    case 11: set(op, OP_ADDI_N, r, s, 0, t ? (i32)t : -1); break;
    case 12:
        if (t & 8) {
            set(op, t & 4 ? OP_BNEZ_N : OP_BEQZ_N, 0, s, 0, (i32)((t & 3) << 4 | r) + 4);
        } else {
            imm = (i32)((t & 7) << 4 | r);
            set(op, OP_MOVI_N, 0, s, 0, (imm & 0x60) == 0x60 ? imm - 128 : imm);
        }
        break;
    default:
        if (r == 0)
            set(op, OP_MOV_N, t, s, 0, 0);
        else if (r == 15 && t == 0)
            set(op, OP_RET_N, 0, s, 0, 0);
        else if (r == 15 && t == 2)
            set(op, OP_BREAK_N, 0, s, 0, 0);
        else if (r == 15 && t == 3)
            set(op, OP_NOP_N, 0, 0, 0, 0);
        break;
    }
}

static void decode_l32r(const struct chip *c, const struct region *g, struct op *op, u32 w, u32 pc, u32 t)
{
    u32 base = c->litbase & 1 ? c->litbase & 0xFFFFF000u : (pc + 3) & ~3u;
    u32 address = base + (0xFFFC0000u | w >> 8 << 2);
    u32 offset = address - g->pc;

    if (offset < g->bytes)
        set(op, OP_L32R, 0, 0, t, (i32)offset);
    else
        set(op, OP_L32R_FAR, 0, 0, t, (i32)address);
}

void decode(struct chip *c, const struct region *g, struct op *op)
{
    ptrdiff_t offset = op - g->ops;
    u32 pc = g->pc + (u32)(i32)offset, w, r, s, t, bytes;

    if (offset < 0 || offset >= (ptrdiff_t)g->bytes) {
        set(op, OP_OUTSIDE, 0, 0, 0, 0);
        return;
    }
    w = g->mem[offset];
    bytes = (w & 15) >= 8 ? 2 : 3;
    if ((u32)offset + bytes > g->bytes) {
        set(op, OP_FETCH_FAULT, 0, 0, 0, 0);
        return;
    }
    if (is_breakpoint(c, pc)) {
        set(op, OP_BREAKPOINT, 0, 0, 0, 0);
        return;
    }
    w |= (u32)g->mem[offset + 1] << 8;
    if (bytes == 3)
        w |= (u32)g->mem[offset + 2] << 16;
    t = w >> 4 & 15, s = w >> 8 & 15, r = w >> 12 & 15;
    set(op, OP_ILLEGAL, 0, 0, 0, 0);
    switch (w & 15) {
    case 0: decode_qrst(op, w, r, s, t); break;
    case 1: decode_l32r(c, g, op, w, pc, t); break;
    case 2: decode_lsai(op, w, r, s, t); break;
    case 5:
        if ((t & 3) == 0)
            decode_jump(g, op, pc, OP_CALL0, OP_CALL0_FAR, (pc & ~3u) + 4 + ((u32)sign(w >> 6, 18) << 2));
        break;
    case 6: decode_si(g, op, w, pc, r, s); break;
    case 7: decode_branch(op, w, r, s, t); break;
    case 3: case 4: break;
    default: decode_narrow(op, w, r, s, t); break;
    }
}
