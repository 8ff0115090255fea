/*
 * Runs a program and has the kernel read and write less than it is asked for, which it may do at any time: each read(),
 * pread64(), write(), pwrite64(), copy_file_range() and sendfile() of more than a few bytes, of all threads, is cut to a
 * random part before the kernel sees it. What the program makes must be the same.
 *
 * usage: short_io SEED COUNT-FILE PROGRAM ARGUMENT...     the number of calls that were cut is written to COUNT-FILE
 *
 * By ptrace(2), since a preloaded library doesn't see system calls that are made without the C library. x86-64 alone.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
int main(void) {
    return 77;
}
#else

static unsigned long long random_state;
static unsigned long cut;

static unsigned long long below(unsigned long long limit) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % limit;
}

/* Where the call has its length, or NULL where it has none. */
static unsigned long long *length_of(struct user_regs_struct *registers) {
    switch (registers->orig_rax) {
    case SYS_read:
    case SYS_pread64:
    case SYS_write:
    case SYS_pwrite64:
        return &registers->rdx;
    case SYS_sendfile:
        return &registers->r10;
    case SYS_copy_file_range:
        return &registers->r8;
    default:
        return NULL;
    }
}

/* Small lengths to find what breaks at any byte, and large ones so that big files come to an end. */
static unsigned long long shorter(unsigned long long length) {
    return length > 65536 && below(4) ? length / 2 + below(length / 2) : 1 + below(length < 4096 ? length : 4096);
}

/* Threads that are inside a call whose length was changed: the register is theirs again afterwards, since a program may
 * rely on what the kernel leaves alone. */
enum { MOST_THREADS = 256 };
static struct {
    pid_t thread;
    unsigned long long length;
} changed[MOST_THREADS];

static void restore(pid_t thread, struct user_regs_struct *registers) {
    for (int i = 0; i < MOST_THREADS; i++) {
        if (changed[i].thread == thread) {
            *length_of(registers) = changed[i].length;
            ptrace(PTRACE_SETREGS, thread, NULL, registers);
            changed[i].thread = 0;
        }
    }
}

static void shorten(pid_t thread) {
    struct user_regs_struct registers;
    int free_place = 0;
    if (ptrace(PTRACE_GETREGS, thread, NULL, &registers) != 0) {
        return;
    }
    unsigned long long *length = length_of(&registers);
    if (length == NULL) {
        return;
    }
    if (registers.rax != (unsigned long long)-ENOSYS) { /* on the way out of the kernel */
        restore(thread, &registers);
        return;
    }
    while (free_place < MOST_THREADS && changed[free_place].thread != 0) {
        free_place++;
    }
    if (*length > 1 && below(2) && free_place < MOST_THREADS) {
        unsigned long long whole = *length, less = shorter(whole);
        *length = less;
        if (less < whole && ptrace(PTRACE_SETREGS, thread, NULL, &registers) == 0) {
            changed[free_place].thread = thread;
            changed[free_place].length = whole;
            cut++;
        }
    }
}

int main(int count, char **arguments) {
    if (count < 4) {
        fprintf(stderr, "usage: short_io SEED COUNT-FILE PROGRAM ARGUMENT...\n");
        return 2;
    }
    random_state = strtoull(arguments[1], NULL, 10) * 2654435761u + 1;
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        execv(arguments[3], arguments + 3);
        _exit(127);
    }
    int status, code = 1;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return 1;
    }
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
    ptrace(PTRACE_SETOPTIONS, child, NULL, options);
    ptrace(PTRACE_SYSCALL, child, NULL, NULL);
    for (pid_t thread; (thread = waitpid(-1, &status, __WALL)) > 0;) {
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (thread == child) {
                code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            }
            continue;
        }
        int signal = WSTOPSIG(status);
        if (signal == (SIGTRAP | 0x80)) {
            shorten(thread);
            signal = 0;
        } else if (signal == SIGTRAP || signal == SIGSTOP) {
            signal = 0; /* the stops of exec, of clone, and of new threads */
        }
        ptrace(PTRACE_SYSCALL, thread, NULL, (long)signal);
    }
    FILE *out = fopen(arguments[2], "w");
    if (out) {
        fprintf(out, "%lu\n", cut);
        fclose(out);
    }
    return code;
}
#endif
