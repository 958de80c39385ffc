/* Shifts of 64 bits by 0 to 63, low word first. The compiler calls these for the ROM's own C code. */
    .section .text.__ashldi3, "ax"
    .align  4
    .global __ashldi3
__ashldi3:
    bltui   a4, 32, 1f
    ssl     a4
    sll     a3, a2
    movi    a2, 0
    ret
1:  beqz    a4, 2f
    ssl     a4
    src     a3, a3, a2
    sll     a2, a2
2:  ret

    .section .text.__lshrdi3, "ax"
    .align  4
    .global __lshrdi3
__lshrdi3:
    ssr     a4
    bltui   a4, 32, 1f
    srl     a2, a3
    movi    a3, 0
    ret
1:  src     a2, a3, a2
    srl     a3, a3
    ret

    .section .text.__ashrdi3, "ax"
    .align  4
    .global __ashrdi3
__ashrdi3:
    ssr     a4
    bltui   a4, 32, 1f
    sra     a2, a3
    srai    a3, a3, 31
    ret
1:  src     a2, a3, a2
    sra     a3, a3
    ret
