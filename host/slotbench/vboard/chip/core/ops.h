/* Every kind of decoded instruction: `X(NAME)`. DECODE must be first: memory of zeros is "not decoded". */
#include <stdint.h>

#define OPS(X) \
    X(DECODE) X(OUTSIDE) X(FETCH_FAULT) X(ILLEGAL) X(BREAKPOINT) \
    X(NOP) X(NOP_N) X(SYSCALL) X(BREAK) X(BREAK_N) X(SIMCALL) \
    X(RET) X(RET_N) X(JX) X(CALLX0) X(CALL0) X(CALL0_FAR) X(J) X(J_FAR) \
    X(RFE) X(RFI) X(RFDE) X(RSIL) X(WAITI) \
    X(AND) X(OR) X(XOR) X(MOV) X(MOV_N) \
    X(SSR) X(SSL) X(SSA8L) X(SSA8B) X(SSAI) X(NSA) X(NSAU) X(NEG) X(ABS) \
    X(ADD) X(ADDX2) X(ADDX4) X(ADDX8) X(SUB) X(SUBX2) X(SUBX4) X(SUBX8) X(ADD_N) X(ADDI_N) \
    X(SLLI) X(SRAI) X(SRLI) X(SRC) X(SRL) X(SLL) X(SRA) X(EXTUI) \
    X(MUL16U) X(MUL16S) X(MULL) \
    X(RSR) X(RSR_SAR) X(RSR_CCOUNT) X(WSR) X(XSR) \
    X(MOVEQZ) X(MOVNEZ) X(MOVLTZ) X(MOVGEZ) \
    X(L32R) X(L32R_FAR) X(L8UI) X(L16UI) X(L16SI) X(L32I) X(L32I_N) X(S8I) X(S16I) X(S32I) X(S32I_N) \
    X(MOVI) X(MOVI_N) X(ADDI) X(ADDI_SP) X(SUB_SP) \
    X(BEQZ) X(BNEZ) X(BLTZ) X(BGEZ) X(BEQZ_N) X(BNEZ_N) \
    X(BEQI) X(BNEI) X(BLTI) X(BGEI) X(BLTUI) X(BGEUI) \
    X(BNONE) X(BEQ) X(BLT) X(BLTU) X(BALL) X(BBC) X(BBCI) X(BANY) X(BNE) X(BGE) X(BGEU) X(BNALL) X(BBS) X(BBSI)

enum op_code {
#define X(name) OP_##name,
    OPS(X)
#undef X
    OP_COUNT
};

/* The constants of the branches that compare with one: decoded slots hold an index. */
extern const int32_t b4const[16], b4constu[16];
