/* Every kind of decoded instruction: `X(NAME)`. DECODE must be first: memory of zeros is "not decoded". Behind them come
 * the sequences of sequences.h: the code in the slot of its first instruction.
 */
#ifndef OPS_H
#define OPS_H

#include <stdint.h>

#include "sequences.h"

#define SPECIAL_OPS(X) \
    X(DECODE) X(OUTSIDE) X(FETCH_FAULT) X(ILLEGAL) X(BREAKPOINT) X(SYSCALL) X(BREAK) X(BREAK_N) X(SIMCALL) X(RFE) \
    X(RFI) X(RFDE) X(WAITI) X(WSR) X(XSR) X(L32R_FAR)

/* instructions.h has what they do. */
#define PLAIN_OPS(X) \
    X(NOP) X(NOP_N) X(RET) X(RET_N) X(JX) X(CALLX0) X(CALL0) X(CALL0_FAR) X(J) X(J_FAR) X(RSIL) X(AND) X(OR) X(XOR) \
    X(MOV) X(MOV_N) X(SSR) X(SSL) X(SSA8L) X(SSA8B) X(SSAI) X(NSA) X(NSAU) X(NEG) X(ABS) X(ADD) X(ADD_N) X(ADDX2) \
    X(ADDX4) X(ADDX8) X(SUB) X(SUBX2) X(SUBX4) X(SUBX8) X(ADDI_N) X(ADDI) X(ADDI_SP) X(SUB_SP) X(MOVI) X(MOVI_N) \
    X(SLLI) X(SRAI) X(SRLI) X(EXTUI) X(SRC) X(SRL) X(SLL) X(SRA) X(MUL16U) X(MUL16S) X(MULL) X(MOVEQZ) X(MOVNEZ) \
    X(MOVLTZ) X(MOVGEZ) X(RSR_SAR) X(RSR_CCOUNT) X(RSR) X(L32R) X(L32I) X(L32I_N) X(L8UI) X(L16UI) X(L16SI) X(S32I) \
    X(S32I_N) X(S16I) X(S8I) X(BEQZ) X(BNEZ) X(BLTZ) X(BGEZ) X(BEQZ_N) X(BNEZ_N) X(BEQI) X(BNEI) X(BLTI) X(BGEI) \
    X(BLTUI) X(BGEUI) X(BNONE) X(BANY) X(BALL) X(BNALL) X(BEQ) X(BNE) X(BLT) X(BGE) X(BLTU) X(BGEU) X(BBC) X(BBS) \
    X(BBCI) X(BBSI)

enum op_code {
#define X(name) OP_##name,
    SPECIAL_OPS(X) PLAIN_OPS(X)
#undef X
    OP_BYTE, /* a part of sequences, and one itself: instructions.h */
#define X(name, first, others) OP_##name,
    SEQUENCES(X)
#undef X
    OP_COUNT
};

/* The constants of the branches that compare with one: decoded slots hold an index. */
extern const int32_t b4const[16], b4constu[16];

#endif
