// A preload library that remembers what a disk may lose: every write, truncation and change of a
// name below FARSHORE_UNSYNCED_BELOW goes with what it replaces into a log in the folder
// FARSHORE_UNSYNCED_LOG, named after the process, and so does every sync. After a kill -9
// tests/crash/unsynced.py takes back what no sync had covered, or a part of it.
//
// Records, one line each, numbered from 0; `saved` bytes follow the line:
//   W inode offset size-before length saved     T inode size-before size saved
//   S inode upto                                the file's records below `upto` are durable
//   C folder path                               R folder folder from to kept   U folder path kept
//   F folder upto                               `kept`: a link to the file that was replaced or
//                                               removed; -: none
// A record comes before what it describes, so a log that ends within one has nothing to take back.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 65536
#define SYNC_TAKES_NS (20 * 1000 * 1000)  // so that a kill finds something unsynced
#define EXPORT __attribute__((visibility("default")))

static int (*real_open)(const char*, int, ...);
static int (*real_close)(int);
static ssize_t (*real_write)(int, const void*, size_t);
static ssize_t (*real_pwrite)(int, const void*, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);
static int (*real_rename)(const char*, const char*);
static int (*real_unlink)(const char*);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;  // the log has the order of the calls
static const char* below;
static const char* log_folder;
static int log_fd = -1;
static unsigned long records, links;
static ino_t inode_of_fd[FDS_MAX];  // 0: not ours

static void fail(const char* what) {
  fprintf(stderr, "unsynced: %s: %s\n", what, strerror(errno));
  abort();
}

// Constructors of other libraries may open files before ours has run.
static void begin(void) {
  if (real_open != NULL) return;
  real_close = (int (*)(int))dlsym(RTLD_NEXT, "close");
  real_write = (ssize_t(*)(int, const void*, size_t))dlsym(RTLD_NEXT, "write");
  real_pwrite = (ssize_t(*)(int, const void*, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
  real_ftruncate = (int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate");
  real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  real_rename = (int (*)(const char*, const char*))dlsym(RTLD_NEXT, "rename");
  real_unlink = (int (*)(const char*))dlsym(RTLD_NEXT, "unlink");
  below = getenv("FARSHORE_UNSYNCED_BELOW");
  log_folder = getenv("FARSHORE_UNSYNCED_LOG");
  if (below == NULL || log_folder == NULL) fail("FARSHORE_UNSYNCED_BELOW and _LOG must be set");
  real_open = (int (*)(const char*, int, ...))dlsym(RTLD_NEXT, "open");
}
__attribute__((constructor)) static void start(void) {
  begin();
}

static int is_ours(const char* path) {
  return strncmp(path, below, strlen(below)) == 0;
}

static ino_t ours(int fd) {
  begin();
  return fd >= 0 && fd < FDS_MAX ? inode_of_fd[fd] : 0;
}

// Caller holds the mutex.
static void append(const char* line, const void* saved, size_t count) {
  if (log_fd < 0) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%d.log", log_folder, (int)getpid());
    log_fd = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) fail(path);
  }
  const struct iovec parts[] = {{(void*)line, strlen(line)}, {(void*)saved, count}};
  if (writev(log_fd, parts, 2) != (ssize_t)(strlen(line) + count)) fail("the log");
  ++records;
}

static void __attribute__((format(printf, 1, 2))) note(const char* format, ...) {
  char line[3 * PATH_MAX];
  va_list values;
  va_start(values, format);
  vsnprintf(line, sizeof line, format, values);
  va_end(values);
  append(line, NULL, 0);
}

static off_t size_of(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) fail("fstat");
  return info.st_size;
}

// What a change of `fd` is about to replace goes with its line into the log.
static void save(int fd, const char* line, off_t from, off_t upto) {
  const size_t count = upto > from ? (size_t)(upto - from) : 0;
  char* saved = malloc(count + 1);
  char whole[256];
  // The agent may have opened the file for writing only.
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const int reader = count > 0 ? real_open(path, O_RDONLY | O_CLOEXEC) : -1;
  const ssize_t got = count > 0 ? pread(reader, saved, count, from) : 0;
  if (saved == NULL || got < 0) fail("what is replaced");
  snprintf(whole, sizeof whole, "%s %zd\n", line, got);
  append(whole, saved, (size_t)got);
  if (reader >= 0) real_close(reader);
  free(saved);
}

static void save_write(int fd, ino_t inode, off_t offset, size_t count) {
  const off_t size = size_of(fd), end = offset + (off_t)count;
  char line[200];
  snprintf(line, sizeof line, "W %lu %ld %ld %zu", (unsigned long)inode, (long)offset, (long)size,
           count);
  save(fd, line, offset, end < size ? end : size);
}

static unsigned long folder_of(const char* path) {
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%s", path);
  char* slash = strrchr(folder, '/');
  if (slash != NULL) *slash = '\0';
  struct stat info;
  if (stat(folder, &info) != 0) fail(folder);
  return info.st_ino;
}

// A second name keeps the file that `path` names.
static void keep(const char* path, char* kept, size_t room) {
  snprintf(kept, room, "%s/%d.%lu", log_folder, (int)getpid(), links++);
  if (link(path, kept) == 0) return;
  if (errno != ENOENT) fail(path);
  snprintf(kept, room, "-");
}

EXPORT int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  begin();
  if (!is_ours(path)) return real_open(path, flags, mode);
  errno = ENOTSUP;
  if (flags & O_TRUNC) fail(path);
  pthread_mutex_lock(&mutex);
  if (flags & O_CREAT && access(path, F_OK) != 0) note("C %lu %s\n", folder_of(path), path);
  const int fd = real_open(path, flags, mode);
  struct stat info;
  if (fd >= FDS_MAX) fail("too many open files");
  if (fd >= 0 && fstat(fd, &info) == 0) inode_of_fd[fd] = info.st_ino;
  pthread_mutex_unlock(&mutex);
  return fd;
}
EXPORT int open64(const char* path, int flags, ...) __attribute__((alias("open")));

EXPORT int close(int fd) {
  if (ours(fd)) inode_of_fd[fd] = 0;
  return real_close(fd);
}

EXPORT ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  const ino_t inode = ours(fd);
  if (!inode) return real_pwrite(fd, bytes, count, offset);
  pthread_mutex_lock(&mutex);
  save_write(fd, inode, offset, count);
  const ssize_t written = real_pwrite(fd, bytes, count, offset);
  pthread_mutex_unlock(&mutex);
  return written;
}
EXPORT ssize_t pwrite64(int, const void*, size_t, off_t) __attribute__((alias("pwrite")));

EXPORT ssize_t write(int fd, const void* bytes, size_t count) {
  const ino_t inode = ours(fd);
  if (!inode) return real_write(fd, bytes, count);
  pthread_mutex_lock(&mutex);
  const off_t at = fcntl(fd, F_GETFL) & O_APPEND ? size_of(fd) : lseek(fd, 0, SEEK_CUR);
  save_write(fd, inode, at, count);
  const ssize_t written = real_write(fd, bytes, count);
  pthread_mutex_unlock(&mutex);
  return written;
}

EXPORT int ftruncate(int fd, off_t size) {
  const ino_t inode = ours(fd);
  if (!inode) return real_ftruncate(fd, size);
  pthread_mutex_lock(&mutex);
  const off_t before = size_of(fd);
  char line[200];
  snprintf(line, sizeof line, "T %lu %ld %ld", (unsigned long)inode, (long)before, (long)size);
  save(fd, line, size, before);
  const int done = real_ftruncate(fd, size);
  pthread_mutex_unlock(&mutex);
  return done;
}
EXPORT int ftruncate64(int, off_t) __attribute__((alias("ftruncate")));

// A sync covers what was written before it began.
static int synced(int fd, int (*sync)(int)) {
  const ino_t inode = ours(fd);
  if (!inode) return sync(fd);
  struct stat info;
  if (fstat(fd, &info) != 0) fail("fstat");
  pthread_mutex_lock(&mutex);
  const unsigned long upto = records;
  pthread_mutex_unlock(&mutex);
  const struct timespec disk_takes = {.tv_nsec = SYNC_TAKES_NS};
  nanosleep(&disk_takes, NULL);
  const int done = sync(fd);
  if (done != 0) return done;
  pthread_mutex_lock(&mutex);
  note("%c %lu %lu\n", S_ISDIR(info.st_mode) ? 'F' : 'S', (unsigned long)inode, upto);
  pthread_mutex_unlock(&mutex);
  return done;
}

EXPORT int fdatasync(int fd) {
  return synced(fd, real_fdatasync);
}
EXPORT int fsync(int fd) {
  return synced(fd, real_fsync);
}

EXPORT int rename(const char* from, const char* to) {
  begin();
  if (!is_ours(from) && !is_ours(to)) return real_rename(from, to);
  pthread_mutex_lock(&mutex);
  char kept[PATH_MAX];
  keep(to, kept, sizeof kept);
  note("R %lu %lu %s %s %s\n", folder_of(from), folder_of(to), from, to, kept);
  const int done = real_rename(from, to);
  pthread_mutex_unlock(&mutex);
  return done;
}

EXPORT int unlink(const char* path) {
  struct stat info;
  begin();
  if (!is_ours(path) || lstat(path, &info) != 0 || S_ISDIR(info.st_mode)) return real_unlink(path);
  pthread_mutex_lock(&mutex);
  char kept[PATH_MAX];
  keep(path, kept, sizeof kept);
  note("U %lu %s %s\n", folder_of(path), path, kept);
  const int done = real_unlink(path);
  pthread_mutex_unlock(&mutex);
  return done;
}
