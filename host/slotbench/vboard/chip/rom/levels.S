/* Interrupt levels and special registers. */
    .section .at.ets_intr_lock, "ax"
    .global ets_intr_lock
ets_intr_lock:
    rsil    a2, 3
    ret

    .section .at.ets_intr_unlock, "ax"
    .global ets_intr_unlock
ets_intr_unlock:
    rsil    a2, 0
    ret

    .section .text._xtos_set_intlevel, "ax"
    .align  4
    .global _xtos_set_intlevel              /* (level): the PS before */
_xtos_set_intlevel:
    rsr     a3, ps
    extui   a2, a2, 0, 4
    srli    a4, a3, 4
    slli    a4, a4, 4
    or      a4, a4, a2
    wsr     a4, ps
    rsync
    mov     a2, a3
    ret

    .section .text._xtos_set_min_intlevel, "ax"
    .align  4
    .global _xtos_set_min_intlevel          /* (level): the PS before; never lowers the level */
_xtos_set_min_intlevel:
    rsr     a3, ps
    extui   a2, a2, 0, 4
    extui   a4, a3, 0, 4
    bgeu    a4, a2, kept
    sub     a4, a3, a4
    or      a4, a4, a2
    wsr     a4, ps
    rsync
kept:
    mov     a2, a3
    ret

    .section .at._xtos_restore_intlevel, "ax"
    .global _xtos_restore_intlevel
_xtos_restore_intlevel:
    wsr     a2, ps
    rsync
    ret.n

    .section .at.xthal_get_ccount, "ax"
    .global xthal_get_ccount
xthal_get_ccount:
    rsr     a2, ccount
    ret

    .section .at.xthal_get_ccompare, "ax"
    .global xthal_get_ccompare
xthal_get_ccompare:
    rsr     a2, ccompare0
    ret

    .section .at.xthal_set_ccompare, "ax"   /* (number, value) */
    .global xthal_set_ccompare
xthal_set_ccompare:
    wsr     a3, ccompare0
    esync
    ret.n

    .section .at.xthal_get_interrupt, "ax"
    .global xthal_get_interrupt
xthal_get_interrupt:
    rsr     a2, interrupt
    ret

    .section .at.xthal_set_intclear, "ax"
    .global xthal_set_intclear
xthal_set_intclear:
    wsr     a2, intclear
    ret
