/* Decoding ahead: from an instruction to the next jump; then each slot gets the code of the longest sequence that begins there.
 * The other slots of a sequence stay as they are: a jump may lead to them, and the sequence takes its operands from them.
 */
#include "chip.h"
#include "ops.h"

enum { AHEAD = 128, PARTS = 8, BYTE_BYTES = 17 };

struct sequence {
    u8 code, parts[PARTS];
};

#define PART(name) OP_##name,
#define LAST(name) OP_##name
static const struct sequence sequences[] = {
#define X(name, first, others) {OP_##name, {OP_##first, others}},
    SEQUENCES(X)
#undef X
};
#undef PART
#undef LAST

static const u8 first_of[OP_COUNT] = {
#define X(name) [OP_##name] = OP_##name,
    SPECIAL_OPS(X) PLAIN_OPS(X)
#undef X
    [OP_BYTE] = OP_SSA8L,
#define BYTE SSA8L
#define FIRST(name) OP_##name
#define X(name, first, others) [OP_##name] = FIRST(first),
    SEQUENCES(X)
#undef X
#undef FIRST
#undef BYTE
};

static int ends(u8 code)
{
    switch (code) {
#define X(name) case OP_##name:
    SPECIAL_OPS(X)
#undef X
    case OP_RET: case OP_RET_N: case OP_JX: case OP_J: case OP_J_FAR:
        return 1;
    default:
        return 0;
    }
}

static u32 length(u8 code)
{
    switch (code) {
    case OP_NOP_N: case OP_RET_N: case OP_MOV_N: case OP_ADD_N: case OP_ADDI_N: case OP_MOVI_N: case OP_L32I_N: case OP_S32I_N:
    case OP_BEQZ_N: case OP_BNEZ_N:
        return 2;
    default:
        return 3;
    }
}

/* Instructions.h has what they do together. */
static int is_byte(const struct op *op)
{
    static const u8 codes[] = {OP_SSA8L, OP_SRLI, OP_SLLI, OP_L32I_N, OP_SRL, OP_EXTUI};
    const u8 from = op->s, to = op[3].r;
    const struct op *at = op;

    for (u32 i = 0; i < sizeof codes; at += length(codes[i++]))
        if (first_of[at->code] != codes[i])
            return 0;
    return op[3].t == from && op[3].imm == 2 && op[6].r == to && op[6].s == to && op[6].imm == 2 && op[9].t == to && op[9].s == to
        && op[9].imm == 0 && op[11].r == to && op[11].t == to && op[14].r == to && op[14].t == to && op[14].s == 0
        && op[14].imm == 0xFF;
}

/* How many bytes of a sequence this part takes here; 0: it is not here. */
static u32 part_bytes(const struct op *op, u8 part)
{
    if (part == OP_BYTE)
        return is_byte(op) ? BYTE_BYTES : 0;
    return first_of[op->code] == part ? length(part) : 0;
}

static int begins_here(const struct op *op, const struct sequence *it)
{
    u32 bytes;

    for (int i = 0; i < PARTS && it->parts[i]; op += bytes, i++) {
        bytes = part_bytes(op, it->parts[i]);
        if (!bytes)
            return 0;
    }
    return 1;
}

static void take_longest(struct op *op)
{
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++)
        if (begins_here(op, sequences + i)) {
            op->code = sequences[i].code;
            return;
        }
    if (is_byte(op))
        op->code = OP_BYTE;
}

void decode_ahead(struct chip *c, const struct region *g, struct op *op)
{
    struct op *at[AHEAD];
    int count = 0;

    while (count < AHEAD && !op->code) {
        decode(c, g, op);
        at[count++] = op;
        if (ends(op->code))
            break;
        op += length(op->code);
    }
    while (count-- > 0)
        take_longest(at[count]);
}
