/* Division of words. */

/* a2 / a3: a4 the quotient, a2 the remainder; a3, a5 and a6 change. The divisor is moved under the dividend's first bit. */
.macro divide_words
    beqz    a3, 9f
    movi    a4, 0
    bltu    a2, a3, 3f
    nsau    a5, a2
    nsau    a6, a3
    sub     a6, a6, a5
    ssl     a6
    sll     a3, a3
1:  slli    a4, a4, 1
    bltu    a2, a3, 2f
    sub     a2, a2, a3
    addi    a4, a4, 1
2:  srli    a3, a3, 1
    addi    a6, a6, -1
    bgez    a6, 1b
3:
.endm

    .section .text.__udivsi3, "ax"
    .align  4
    .global __udivsi3
__udivsi3:
    divide_words
    mov     a2, a4
    ret
9:  j       divide_by_zero

    .section .text.__umodsi3, "ax"
    .align  4
    .global __umodsi3
__umodsi3:
    divide_words
    ret
9:  j       divide_by_zero

    .section .text.__divsi3, "ax"
    .align  4
    .global __divsi3
__divsi3:
    xor     a7, a2, a3
    abs     a2, a2
    abs     a3, a3
    divide_words
    neg     a2, a4
    movgez  a2, a4, a7
    ret
9:  j       divide_by_zero

    .section .text.__modsi3, "ax"
    .align  4
    .global __modsi3
__modsi3:
    mov     a7, a2
    abs     a2, a2
    abs     a3, a3
    divide_words
    neg     a4, a2
    movltz  a2, a4, a7
    ret
9:  j       divide_by_zero

/* For C functions: a call needs an aligned target. */
    .section .text.no_quotient, "ax"
    .align  4
    .global no_quotient
no_quotient:
    j       divide_by_zero
