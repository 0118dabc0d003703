// A disk that fails as told, for one process: LD_PRELOAD this, name a folder, and steer it through a shared page.
//
// Every write that is to last (write, pwrite, fsync, fdatasync, ftruncate, rename, link, unlink) below FAULTY_FOLDER is
// counted; the control page says which of them fails, and before which one the process is killed. Nothing in the program
// helps: what it lives through is a full disk, a failing one, a kill between two system calls. A kill is no power cut: what
// was written and not synced is still there. What a power cut would leave is judged from the order of the operations,
// which FAULTY_LOG, a file, is told: a line for each, `thread operation path [new path]`.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { NONE, FULL, SYNC_FAILS, READ_ONLY, WRITE_FAILS };

struct control {
    volatile uint64_t mode;
    volatile uint64_t ops;     // counted so far
    volatile uint64_t kill_at; // 0: never
    volatile uint64_t refused; // operations that failed as told
};

static struct control *control;
static const char *folder, *machine;
static int journal = -1;

__attribute__((constructor)) static void begin(void) {
    folder = getenv("FAULTY_FOLDER");
    machine = getenv("FAULTY_MACHINE_ID");
    const char *page = getenv("FAULTY_CONTROL");
    if (!page || !folder) return;
    int fd = open(page, O_RDWR | O_CLOEXEC);
    if (fd < 0) abort();
    void *there = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (there == MAP_FAILED) abort();
    control = there;
    const char *log = getenv("FAULTY_LOG");
    if (log && (journal = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) < 0) abort();
}

static int concerns(const char *path) {
    if (!control || !path) return 0;
    if (strncmp(path, folder, strlen(folder)) != 0) return 0;
    return !strstr(path, ".sock") && !strstr(path, ".lock") && !strstr(path, "-shm");
}

static int path_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, size - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return 1;
}

static int refuse(int error) {
    __atomic_add_fetch(&control->refused, 1, __ATOMIC_SEQ_CST);
    errno = error;
    return 1;
}

// Whether an operation fails, with errno set; counts it, and kills before it if it is the one.
static int stopped(int sync) {
    uint64_t n = __atomic_add_fetch(&control->ops, 1, __ATOMIC_SEQ_CST);
    if (control->kill_at == n) kill(getpid(), SIGKILL);
    switch (control->mode) {
    case FULL: return sync ? 0 : refuse(ENOSPC);
    case SYNC_FAILS: return sync ? refuse(EIO) : 0;
    case READ_ONLY: return sync ? 0 : refuse(EROFS);
    case WRITE_FAILS: return sync ? 0 : refuse(EIO);
    }
    return 0;
}

// Writes down an operation that succeeded; one write, so that the lines of several threads do not mix.
static void over(const char *what, const char *path, const char *to) {
    char line[9000];
    if (journal < 0) return;
    int n = snprintf(line, sizeof line, "%ld %s %s%s%s\n", (long)syscall(SYS_gettid), what, path, *to ? " " : "", to);
    if (n < 0 || n >= (int)sizeof line || syscall(SYS_write, journal, line, (size_t)n) != n) abort();
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define ON_FD(name, sync, args) \
    REAL(name); \
    char path[4096]; \
    if (!control || !path_of(fd, path, sizeof path) || !concerns(path)) return real args; \
    if (stopped(sync)) return -1; \
    __typeof__(real args) answer = real args; \
    int kept = errno; \
    if (answer >= 0) over(#name, path, ""); \
    errno = kept; \
    return answer

ssize_t write(int fd, const void *data, size_t size) { ON_FD(write, 0, (fd, data, size)); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { ON_FD(pwrite, 0, (fd, data, size, at)); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { ON_FD(pwrite64, 0, (fd, data, size, at)); }
int ftruncate(int fd, off_t size) { ON_FD(ftruncate, 0, (fd, size)); }
int ftruncate64(int fd, off64_t size) { ON_FD(ftruncate64, 0, (fd, size)); }
int fsync(int fd) { ON_FD(fsync, 1, (fd)); }
int fdatasync(int fd) { ON_FD(fdatasync, 1, (fd)); }

#define ON_PATH(name, path, to, args) \
    REAL(name); \
    if (!concerns(path)) return real args; \
    if (stopped(0)) return -1; \
    int answer = real args; \
    int kept = errno; \
    if (answer == 0) over(#name, path, to); \
    errno = kept; \
    return answer

int rename(const char *from, const char *to) { ON_PATH(rename, from, to, (from, to)); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) { ON_PATH(renameat2, from, to, (a, from, b, to, flags)); }
int linkat(int a, const char *from, int b, const char *to, int flags) { ON_PATH(linkat, from, to, (a, from, b, to, flags)); }
int unlink(const char *path) { ON_PATH(unlink, path, "", (path)); }

// Opening: another machine's id, and nothing is opened for writing on a read-only disk.
static int opened(const char **path, int flags) {
    if (machine && *path && strcmp(*path, "/etc/machine-id") == 0) *path = machine;
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    if (control && control->mode == READ_ONLY && writes && concerns(*path)) {
        refuse(EROFS);
        return 0;
    }
    return 1;
}

#define MODE \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    REAL(open);
    MODE return opened(&path, flags) ? real(path, flags, mode) : -1;
}
int open64(const char *path, int flags, ...) {
    REAL(open64);
    MODE return opened(&path, flags) ? real(path, flags, mode) : -1;
}
int openat(int at, const char *path, int flags, ...) {
    REAL(openat);
    MODE return opened(&path, flags) ? real(at, path, flags, mode) : -1;
}
int openat64(int at, const char *path, int flags, ...) {
    REAL(openat64);
    MODE return opened(&path, flags) ? real(at, path, flags, mode) : -1;
}
