/* Where the code begins: inside of a function of MicroPython's assembler, whose end follows the code. That function has saved a0,
 * and restores it. Its frame is not touched.
 */
    .section .text
    .global entry
    .align 4
entry:
    call0   update
    j       etext
