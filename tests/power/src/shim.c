/* Records what a process does to the files of one folder, so that a test can rebuild the folder as a power cut would have
 * left it. Loaded with LD_PRELOAD; the format of the record is read by disk.rs.
 *
 * It sees opens, writes, truncations, new directories and syncs. Renames and removals need not be seen (and cannot always:
 * some libraries make the system call themselves): what a directory's sync makes durable is its listing at that moment, so
 * the listing is recorded then. Whether anything was missed shows when the record, replayed to its end, is compared with
 * the real folder.
 *
 * Environment: SHIM_DIR the folder; SHIM_LOG the record; SHIM_IGNORE_SYNC=1 answers syncs without making or recording them;
 * SHIM_FULL and SHIM_FAIL_SYNC name files: while one exists, writes get ENOSPC, or syncs EIO. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, TRUNCATE, SYNC_BEGIN, SYNC_END, LISTING, ACK };

struct known { dev_t dev; ino_t ino; uint64_t id; };

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int record_fd = -1;
static char folder[4096];
static int ignore_sync;
static const char *full_flag, *fail_sync_flag;
static struct known *files;
static size_t file_count, file_room;
static uint64_t last_id, last_sync;


static void record(uint8_t op, uint64_t id, uint64_t at, const void *data, uint64_t len) {
    uint64_t head[4] = { op, id, at, len };
    struct iovec parts[2] = { { head, sizeof head }, { (void *)data, len } };
    if (record_fd < 0) return;
    ssize_t n = syscall(SYS_writev, record_fd, parts, 2);
    if (n != (ssize_t)(sizeof head + len)) {
        static const char message[] = "shim: the record could not be written\n";
        syscall(SYS_write, 2, message, sizeof message - 1);
        _exit(97);
    }
}

static uint64_t id_of(const struct stat *st) {
    for (size_t i = file_count; i-- > 0;)
        if (files[i].ino == st->st_ino && files[i].dev == st->st_dev) return files[i].id;
    return 0;
}

static uint64_t new_id(const struct stat *st) {
    for (size_t i = 0; i < file_count; i++)
        if (files[i].ino == st->st_ino && files[i].dev == st->st_dev) return files[i].id = ++last_id;
    if (file_count == file_room) {
        file_room = file_room ? 2 * file_room : 256;
        files = realloc(files, file_room * sizeof *files);
        if (!files) _exit(98);
    }
    files[file_count++] = (struct known){ st->st_dev, st->st_ino, ++last_id };
    return last_id;
}

static uint64_t known_fd(int fd) {
    struct stat st;
    return record_fd >= 0 && fstat(fd, &st) == 0 ? id_of(&st) : 0;
}

static int inside(const char *path) {
    size_t len = strlen(folder);
    return len && strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == 0);
}

/* A directory's names with the ids they stand for: id, is-directory, length of the name, name. */
static void list(const char *path, uint64_t id, uint64_t sync) {
    static char buffer[1 << 20];
    size_t len = 0;
    DIR *dir = opendir(path);
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW)) continue;
        uint64_t entry = id_of(&st);
        if (!entry) entry = new_id(&st);
        uint64_t head[3] = { entry, S_ISDIR(st.st_mode), strlen(e->d_name) };
        if (len + sizeof head + head[2] > sizeof buffer) _exit(99);
        memcpy(buffer + len, head, sizeof head);
        memcpy(buffer + len + sizeof head, e->d_name, head[2]);
        len += sizeof head + head[2];
    }
    closedir(dir);
    record(LISTING, id, sync, buffer, len);
}

static void list_parent(const char *path) {
    char parent[4096];
    struct stat st;
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (!slash) return;
    *slash = 0;
    if (inside(parent) && stat(parent, &st) == 0) list(parent, id_of(&st) ? id_of(&st) : new_id(&st), 0);
}

static void list_all(const char *path) {
    struct stat st;
    if (stat(path, &st)) return;
    list(path, id_of(&st) ? id_of(&st) : new_id(&st), 0);
    DIR *dir = opendir(path);
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));) {
        char child[8192];
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        snprintf(child, sizeof child, "%s/%s", path, e->d_name);
        if (stat(child, &st) == 0 && S_ISDIR(st.st_mode)) list_all(child);
    }
    closedir(dir);
}

__attribute__((constructor)) static void begin(void) {
    const char *dir = getenv("SHIM_DIR"), *log = getenv("SHIM_LOG");
    struct stat st;
    if (!dir || !log) return;
    snprintf(folder, sizeof folder, "%s", dir);
    ignore_sync = getenv("SHIM_IGNORE_SYNC") != NULL;
    full_flag = getenv("SHIM_FULL");
    fail_sync_flag = getenv("SHIM_FAIL_SYNC");
    record_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (record_fd < 0 || stat(folder, &st)) _exit(96);
    new_id(&st);
    list(folder, 1, 0);
}

/* The lock is kept: another thread that still writes would be ended between its write and the record of it. */
__attribute__((destructor)) static void end(void) {
    pthread_mutex_lock(&lock);
    if (record_fd >= 0) list_all(folder);
}

static int opened(int fd, const char *path, int flags, int was_there) {
    char link[64], real_path[4096];
    struct stat st;
    if (fd < 0 || record_fd < 0) return fd;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, real_path, sizeof real_path - 1);
    if (n < 0 || fstat(fd, &st)) return fd;
    real_path[n] = 0;
    if (!inside(real_path)) return fd;
    int created = (flags & O_CREAT) && !was_there;
    if (created || !id_of(&st)) new_id(&st);
    if (created) list_parent(real_path);
    else if (flags & O_TRUNC) record(TRUNCATE, id_of(&st), 0, NULL, 0);
    (void)path;
    return fd;
}

static int open_as(int at, const char *path, int flags, mode_t mode) {
    struct stat st;
    pthread_mutex_lock(&lock);
    int was_there = fstatat(at, path, &st, 0) == 0;
    int fd = syscall(SYS_openat, at, path, flags, mode);
    int failed = errno;
    opened(fd, path, flags, was_there);
    pthread_mutex_unlock(&lock);
    errno = failed;
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }

int open(const char *path, int flags, ...) { MODE(flags) return open_as(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_as(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return open_as(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return open_as(at, path, flags, mode); }

static int is_set(const char *flag) { return flag && access(flag, F_OK) == 0; }

static ssize_t write_at(int fd, const struct iovec *parts, int count, off_t at) {
    if (fd == 1 && record_fd >= 0) {
        pthread_mutex_lock(&lock);
        for (int i = 0; i < count; i++) record(ACK, 0, 0, parts[i].iov_base, parts[i].iov_len);
        pthread_mutex_unlock(&lock);
        return syscall(SYS_writev, fd, parts, count);
    }
    pthread_mutex_lock(&lock);
    uint64_t id = known_fd(fd);
    ssize_t n;
    if (id && is_set(full_flag)) {
        n = -1;
        errno = ENOSPC;
    } else if (at >= 0) {
        n = syscall(SYS_pwritev, fd, parts, count, (long)at, 0L);
    } else {
        n = syscall(SYS_writev, fd, parts, count);
    }
    int failed = errno;
    if (id && n > 0) {
        uint64_t offset = at >= 0 ? at : lseek(fd, 0, SEEK_CUR) - n;
        ssize_t left = n;
        for (int i = 0; i < count && left > 0; i++) {
            size_t len = parts[i].iov_len < (size_t)left ? parts[i].iov_len : (size_t)left;
            record(WRITE, id, offset, parts[i].iov_base, len);
            offset += len;
            left -= len;
        }
    }
    pthread_mutex_unlock(&lock);
    errno = failed;
    return n;
}

ssize_t write(int fd, const void *data, size_t len) {
    struct iovec part = { (void *)data, len };
    return write_at(fd, &part, 1, -1);
}
ssize_t writev(int fd, const struct iovec *parts, int count) { return write_at(fd, parts, count, -1); }
ssize_t pwrite(int fd, const void *data, size_t len, off_t at) {
    struct iovec part = { (void *)data, len };
    return write_at(fd, &part, 1, at);
}
ssize_t pwrite64(int fd, const void *data, size_t len, off_t at) { return pwrite(fd, data, len, at); }

int ftruncate(int fd, off_t len) {
    pthread_mutex_lock(&lock);
    uint64_t id = known_fd(fd);
    int result = syscall(SYS_ftruncate, fd, len), failed = errno;
    if (id && result == 0) record(TRUNCATE, id, len, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = failed;
    return result;
}
int ftruncate64(int fd, off_t len) { return ftruncate(fd, len); }

int mkdir(const char *path, mode_t mode) {
    struct stat st;
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_mkdirat, AT_FDCWD, path, mode), failed = errno;
    if (result == 0 && record_fd >= 0 && inside(path) && stat(path, &st) == 0) {
        new_id(&st);
        list_parent(path);
    }
    pthread_mutex_unlock(&lock);
    errno = failed;
    return result;
}

static int sync_as(int fd, int number) {
    pthread_mutex_lock(&lock);
    uint64_t id = known_fd(fd);
    pthread_mutex_unlock(&lock);
    if (!id) return syscall(number, fd);
    if (is_set(fail_sync_flag)) {
        errno = EIO;
        return -1;
    }
    if (ignore_sync) return 0;
    pthread_mutex_lock(&lock);
    uint64_t sync = ++last_sync;
    struct stat st;
    record(SYNC_BEGIN, id, sync, NULL, 0);
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        list(path, id, sync);
    }
    pthread_mutex_unlock(&lock);
    int result = syscall(number, fd), failed = errno;
    pthread_mutex_lock(&lock);
    if (result == 0) record(SYNC_END, id, sync, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = failed;
    return result;
}

int fsync(int fd) { return sync_as(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_as(fd, SYS_fdatasync); }
