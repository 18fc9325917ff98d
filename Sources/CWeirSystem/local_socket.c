#define _GNU_SOURCE
#include "weir_system.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef __linux__
// Neither call takes the flags there; a child that is made in between inherits the descriptor.
static int mark(int descriptor) {
    if (descriptor < 0) return -1;
    int on = 1;
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
#ifdef SO_NOSIGPIPE
    setsockopt(descriptor, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    return descriptor;
}
#endif

int weir_socket_make(void) {
#ifdef __linux__
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
#else
    return mark(socket(AF_UNIX, SOCK_STREAM, 0));
#endif
}

int weir_socket_accept(int descriptor) {
#ifdef __linux__
    return accept4(descriptor, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
#else
    return mark(accept(descriptor, NULL, NULL));
#endif
}

// An address holds 107 bytes and a zero; a longer path is refused, never cut.
static int address_of(const char *path, struct sockaddr_un *address) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    size_t length = strlen(path);
    if (length >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address->sun_path, path, length);
    return 0;
}

int weir_socket_bind(int descriptor, const char *path) {
    struct sockaddr_un address;
    if (address_of(path, &address) != 0) return -1;
    return bind(descriptor, (struct sockaddr *)&address, sizeof address);
}

int weir_socket_connect(int descriptor, const char *path) {
    struct sockaddr_un address;
    if (address_of(path, &address) != 0) return -1;
    return connect(descriptor, (struct sockaddr *)&address, sizeof address);
}

ssize_t weir_socket_send(int descriptor, const void *bytes, size_t byte_count) {
#ifdef MSG_NOSIGNAL
    return send(descriptor, bytes, byte_count, MSG_NOSIGNAL);
#else
    return send(descriptor, bytes, byte_count, 0);
#endif
}

int weir_socket_peer(int descriptor, uid_t *user) {
#ifdef __linux__
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return -1;
    *user = peer.uid;
    return 0;
#else
    gid_t group;
    return getpeereid(descriptor, user, &group);
#endif
}

int weir_pipe(int ends[2]) {
#ifdef __linux__
    return pipe2(ends, O_CLOEXEC | O_NONBLOCK);
#else
    if (pipe(ends) != 0) return -1;
    mark(ends[0]);
    mark(ends[1]);
    return 0;
#endif
}

int weir_socket_listen(int descriptor) { return listen(descriptor, 64); }
