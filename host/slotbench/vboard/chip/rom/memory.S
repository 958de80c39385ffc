/* memcpy and memset: bytes up to a word of the target, then words, as instruction RAM and speed need them. */
    .section .text.memcpy, "ax"
    .align  4
    .global memcpy
memcpy:                                 /* (to, from, bytes): to */
    mov     a5, a2
    bltui   a4, 4, tail
head:
    extui   a6, a5, 0, 2
    beqz    a6, aligned
    l8ui    a6, a3, 0
    s8i     a6, a5, 0
    addi    a3, a3, 1
    addi    a5, a5, 1
    addi    a4, a4, -1
    j       head
aligned:
    srli    a7, a4, 2                   /* whole words */
    extui   a4, a4, 0, 2
    slli    a7, a7, 2
    add     a7, a5, a7
    extui   a6, a3, 0, 2
    bnez    a6, shifted
words:
    bgeu    a5, a7, tail
    l32i    a6, a3, 0
    s32i    a6, a5, 0
    addi    a3, a3, 4
    addi    a5, a5, 4
    j       words

/* The source lies across words: each target word comes out of two of them. */
shifted:
    ssa8l   a3
    sub     a9, a3, a6
    l32i    a8, a9, 0
shifted_words:
    bgeu    a5, a7, tail
    addi    a9, a9, 4
    l32i    a10, a9, 0
    src     a6, a10, a8
    s32i    a6, a5, 0
    mov     a8, a10
    addi    a3, a3, 4
    addi    a5, a5, 4
    j       shifted_words
tail:
    beqz    a4, done
    l8ui    a6, a3, 0
    s8i     a6, a5, 0
    addi    a3, a3, 1
    addi    a5, a5, 1
    addi    a4, a4, -1
    j       tail
done:
    ret

    .section .text.memset, "ax"
    .align  4
    .global memset
memset:                                 /* (to, byte, bytes): to */
    mov     a5, a2
    bltui   a4, 4, set_tail
    extui   a3, a3, 0, 8
    slli    a6, a3, 8
    or      a3, a3, a6
    slli    a6, a3, 16
    or      a3, a3, a6
set_head:
    extui   a6, a5, 0, 2
    beqz    a6, set_aligned
    s8i     a3, a5, 0
    addi    a5, a5, 1
    addi    a4, a4, -1
    j       set_head
set_aligned:
    srli    a7, a4, 2
    extui   a4, a4, 0, 2
    slli    a7, a7, 2
    add     a7, a5, a7
set_words:
    bgeu    a5, a7, set_tail
    s32i    a3, a5, 0
    addi    a5, a5, 4
    j       set_words
set_tail:
    beqz    a4, set_done
    s8i     a3, a5, 0
    addi    a5, a5, 1
    addi    a4, a4, -1
    j       set_tail
set_done:
    ret
