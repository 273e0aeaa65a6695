// A disk of which the power can be cut, loaded before PostgreSQL by LD_PRELOAD.
//
// What the disk has of the folder DISK_FOLDER lies beside it, in DISK_FOLDER.disk: a file is copied there when it is synced, and by
// nothing else. Names change there at once, as if a file system wrote its journal out at every change. Without that folder the
// disk lies: it says that it has what was synced, and has not.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *folder;

__attribute__((constructor)) static void begin(void)
{
    folder = getenv("DISK_FOLDER");
    // PostgreSQL writes its process titles over the environment.
    if (folder) folder = strdup(folder);
}

// Where the disk has this path; false of one outside the folder.
static int on_disk(const char *path, char place[PATH_MAX])
{
    char base[PATH_MAX] = "", absolute[2 * PATH_MAX];
    if (!folder || (*path != '/' && !getcwd(base, sizeof base))) return 0;
    snprintf(absolute, sizeof absolute, "%s%s%s", base, *path == '/' ? "" : "/", path);
    size_t length = strlen(folder);
    if (strncmp(absolute, folder, length) != 0 || absolute[length] != '/') return 0;
    return snprintf(place, PATH_MAX, "%s.disk%s", folder, absolute + length) < PATH_MAX;
}

static int lies(void)
{
    char root[PATH_MAX];
    snprintf(root, sizeof root, "%s.disk", folder);
    return access(root, F_OK) != 0;
}

// Written over in place: whoever is killed here leaves some sectors old and some new, as a disk may.
static int copy(int from, int to)
{
    off_t end = 0;
    ssize_t moved;
    do moved = sendfile(to, from, &end, 1 << 30);
    while (moved > 0 || (moved < 0 && errno == EINTR));
    return moved < 0 ? -1 : ftruncate(to, end);
}

static int sync_to_disk(int fd, long call)
{
    char link[32], path[PATH_MAX], place[PATH_MAX];
    struct stat file;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || fstat(fd, &file) != 0) return syscall(call, fd);
    path[length] = 0;
    if (!on_disk(path, place)) return syscall(call, fd);
    // The names in a folder are there already, and what has lost its name need not be.
    if (!S_ISREG(file.st_mode) || file.st_nlink == 0) return 0;
    int from = open(link, O_RDONLY | O_CLOEXEC);
    int to = open(place, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int done = -1;
    if (from < 0 || to < 0) done = lies() ? 0 : -1;
    // One at a time, and read under the lock: else what one has read early could take the place of what another has synced.
    else if (flock(to, LOCK_EX) == 0) done = copy(from, to);
    if (from >= 0) close(from);
    if (to >= 0) close(to);
    return done;
}

int fsync(int fd) { return sync_to_disk(fd, SYS_fsync); }

int fdatasync(int fd) { return sync_to_disk(fd, SYS_fdatasync); }

int rename(const char *from, const char *to)
{
    char old[PATH_MAX], new[PATH_MAX];
    int done = renameat(AT_FDCWD, from, AT_FDCWD, to);
    // Of a file that was never synced the disk has nothing to name.
    if (done == 0 && on_disk(from, old) && on_disk(to, new) && renameat(AT_FDCWD, old, AT_FDCWD, new) != 0)
        unlinkat(AT_FDCWD, new, 0);
    return done;
}

int unlink(const char *path)
{
    char place[PATH_MAX];
    int done = unlinkat(AT_FDCWD, path, 0);
    if (done == 0 && on_disk(path, place)) unlinkat(AT_FDCWD, place, 0);
    return done;
}

int mkdir(const char *path, mode_t mode)
{
    char place[PATH_MAX];
    int done = mkdirat(AT_FDCWD, path, mode);
    if (done == 0 && on_disk(path, place)) mkdirat(AT_FDCWD, place, mode);
    return done;
}
