/*
 * What: the kvm backend's guest image: ring-3 entry, the halt that ends a tick, and the ring-0
 * stub that executes it (see native/helper/start.S for why). Linked to run at PF_GUEST_IMAGE.
 * Who: the VMM starts the vCPU at its first byte, in ring 3. The image starts with three words
 * that tell the VMM where the vectors are.
 */
    .section .header, "ax", @progbits
    .globl pf_guest_image
pf_guest_image:
    .quad pf_guest_entry
    .quad pf_guest_vector
    .quad pf_guest_fault

    .section .text.start, "ax", @progbits
pf_guest_entry:
    xorl %ebp, %ebp
    call pf_guest_main
    ud2

/*
 * void pf_guest_halt(struct pf_demo_input *input): ends the tick. The VMM puts the next tick's
 * input into rax, rdx, rcx and rsi; rdi and all else it leaves alone.
 */
    .globl pf_guest_halt
pf_guest_halt:
pf_guest_hlt:
    hlt
    movq %rax, 0(%rdi)
    movq %rdx, 8(%rdi)
    movq %rcx, 16(%rdi)
    movq %rsi, 24(%rdi)
    ret

    .balign 16
/* Vector 13; stack: error code, rip, cs, rflags, rsp, ss. rax and all else must stay. */
pf_guest_vector:
    cmpq $pf_guest_hlt, 8(%rsp)
    jne pf_guest_fault
    hlt
    incq 8(%rsp)
    addq $8, %rsp
    iretq

    .balign 16
/* Every other exception: a port write is an exit that the VMM takes for a fault. */
pf_guest_fault:
    outb %al, $0x80
    jmp pf_guest_fault

    .section .note.GNU-stack, "", @progbits
