/*
 * What: the ring-0 stub of the mirror image and the helper's two doors, entry and halt (DESIGN 2).
 * Who: the engine starts every vCPU in ring 3 at pf_entry; the CPU enters a vector for every
 * exception. Nothing else ever runs in ring 0.
 *
 * HLT in ring 3 raises #GP with error code 0 (Intel SDM 2A, HLT). Vector 13 executes HLT for the
 * one instruction at pf_halt and returns behind it; everything else is a fault and ends the vCPU.
 * The engine stops using a mirror whose fault record is set, so "halts for good" needs no wake-up.
 * Kept short: nested KVM back ends emulate ring 0 at more than a microsecond per instruction.
 */

/* boot.h: PF_FAULT_MAGIC, PF_IMAGE_MAGIC, PF_ABI_VERSION, struct pf_image_header, pf_fault. */
#define FAULT_MAGIC 0x544c554146524650
#define IMAGE_MAGIC 0x31474d4946524650
#define ABI_VERSION 1
#define HEADER_BYTES 64
#define VECTOR_BYTES 16
#define FAULT_VECTOR 8
#define FAULT_ERROR_CODE 16
#define FAULT_RIP 24
#define FAULT_CR2 32
#define FAULT_RSP 40

#ifdef PF_TEST_COMMANDS
#define IMAGE_FLAGS 1 /* PF_IMAGE_F_TEST */
#else
#define IMAGE_FLAGS 0
#endif

    .section .header, "a", @progbits
    .globl pf_image
pf_image:
    .quad IMAGE_MAGIC
    .long ABI_VERSION
    .long HEADER_BYTES
    .long pf_entry - pf_image
    .long pf_halt - pf_image
    .long pf_vectors - pf_image
    .long VECTOR_BYTES
    .long pf_stub_offset
    .long pf_text_offset
    .long pf_rodata_offset
    .long pf_data_offset
    .long pf_file_bytes
    .long pf_memory_bytes
    .long IMAGE_FLAGS
    .long 0

    .section .stub, "ax", @progbits

/* One entry of VECTOR_BYTES: the stack becomes vector, error code, rip, cs, rflags, rsp, ss. */
    .macro fault_vector number
    .balign VECTOR_BYTES
    /* Vectors whose exceptions push an error code (Intel SDM 3A, table 6-1; #VC is 29, #SX 30). */
    .if \number == 8 || (\number >= 10 && \number <= 14) || \number == 17 || \number == 21 || \
        \number == 29 || \number == 30
    .else
    pushq $0
    .endif
    pushq $\number
    jmp fault
    .endm

    .balign VECTOR_BYTES
    .globl pf_vectors
pf_vectors:
    .altmacro
    .set number, 0
    .rept 13
    fault_vector %number
    .set number, number + 1
    .endr

    .balign VECTOR_BYTES
    jmp general_protection /* vector 13 */

    .set number, 14
    .rept 18
    fault_vector %number
    .set number, number + 1
    .endr
    .noaltmacro

    .balign VECTOR_BYTES
general_protection:
    /* Stack: error code, rip, cs, rflags, rsp, ss. */
    cmpq $0, (%rsp)
    jne 1f
    cmpq $pf_halt, 8(%rsp)
    jne 1f
    hlt
    /* The next KVM_RUN continues here; HLT is one byte long. */
    incq 8(%rsp)
    addq $8, %rsp
    iretq
1:
    pushq $13

fault:
    /*
     * The ring-0 stack is one page, and the record lies at its lowest address. Registers need no
     * saving, the helper never runs again. The first record stays if the stub itself faults.
     */
    movq %rsp, %rbx
    andq $-4096, %rbx
    movabsq $FAULT_MAGIC, %rax
    cmpq %rax, (%rbx)
    je 2f
    movq (%rsp), %rcx
    movq %rcx, FAULT_VECTOR(%rbx)
    movq 8(%rsp), %rcx
    movq %rcx, FAULT_ERROR_CODE(%rbx)
    movq 16(%rsp), %rcx
    movq %rcx, FAULT_RIP(%rbx)
    movq %cr2, %rcx
    movq %rcx, FAULT_CR2(%rbx)
    movq 40(%rsp), %rcx
    movq %rcx, FAULT_RSP(%rbx)
    movq %rax, (%rbx)
2:
    hlt
    jmp 2b

    .section .text.pf_entry, "ax", @progbits
    .globl pf_entry
    .type pf_entry, @function
pf_entry:
    /* rdi = struct pf_boot *, esi = vCPU; rsp is 16-aligned here, as the psABI wants at a call. */
    xorl %ebp, %ebp
    call pf_helper_main
    ud2
    .size pf_entry, . - pf_entry

    .section .text.pf_halt, "ax", @progbits
    .globl pf_halt
    .type pf_halt, @function
pf_halt:
    hlt
    ret
    .size pf_halt, . - pf_halt

    .section .note.GNU-stack, "", @progbits
