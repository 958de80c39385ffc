/* 32 x 32 -> 64 bits by the four 16-bit products: this core has no high word of a product. */
    .section .text.__umulsidi3, "ax"
    .align  4
    .global __umulsidi3
__umulsidi3:
    srli    a4, a2, 16
    srli    a5, a3, 16
    mul16u  a6, a4, a3              /* high a, low b */
    mul16u  a7, a2, a5              /* low a, high b */
    mul16u  a8, a4, a5
    mul16u  a2, a2, a3
    add     a6, a6, a7
    bgeu    a6, a7, 1f
    movi    a7, 1                   /* the middle sum's carry is worth 1 << 48 */
    slli    a7, a7, 16
    add     a8, a8, a7
1:  slli    a7, a6, 16
    add     a2, a2, a7
    srli    a6, a6, 16
    bgeu    a2, a7, 2f
    addi    a8, a8, 1
2:  add     a3, a8, a6
    ret

/* The low 64 bits of a product: (a2, a3) x (a4, a5), low words first. */
    .section .text.__muldi3, "ax"
    .align  4
    .global __muldi3
__muldi3:
    addi    a1, a1, -16
    s32i    a0, a1, 0
    mull    a5, a2, a5
    mull    a9, a3, a4
    add     a9, a9, a5              /* __umulsidi3 leaves a9 alone */
    mov     a3, a4
    call0   __umulsidi3
    add     a3, a3, a9
    l32i    a0, a1, 0
    addi    a1, a1, 16
    ret
