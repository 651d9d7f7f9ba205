/* A small libnvidia-ml.so.1 that plays the machines and the failures of the tests.
 *
 * FAKE_NVML_DEVICES  cards, separated by ';', each "name|major.minor|MiB|uuid|flags"; flags are
 *                    lost, forbidden, nocap, nomem, noname, nouuid, mig=<number of MIG devices>
 * FAKE_NVML_INIT     what nvmlInit returns (an nvmlReturn_t)
 * FAKE_NVML_COUNT    what nvmlDeviceGetCount returns
 * FAKE_NVML_SHUTDOWN what nvmlShutdown returns
 * FAKE_NVML_LOG      a file that gets a line for each nvmlInit that succeeds and for each nvmlShutdown
 * Compiled with -DDRIVER=390 or 440 it lacks the functions that those drivers lack.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef DRIVER
#define DRIVER 580
#endif

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, LOST = 15, UNKNOWN = 999 };

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { char name[96], uuid[96], flags[64]; int major, minor; unsigned long long mib; } card_t;

static card_t cards[16];
static unsigned int count;

static int number(const char *variable, int otherwise) {
    const char *text = getenv(variable);
    return text && *text ? atoi(text) : otherwise;
}

static void note(const char *what) {
    const char *path = getenv("FAKE_NVML_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "%s\n", what);
        fclose(file);
    }
}

static void field(char *to, size_t room, const char **from) {
    size_t length = strcspn(*from, "|;");
    snprintf(to, room, "%.*s", (int)length, *from);
    *from += length + ((*from)[length] == '|');
}

static int start(void) {
    const char *at = getenv("FAKE_NVML_DEVICES");
    char text[32];
    int code = number("FAKE_NVML_INIT", OK);
    if (code != OK) return code;
    for (count = 0; at && *at && count < 16; count++) {
        card_t *card = &cards[count];
        field(card->name, sizeof card->name, &at);
        field(text, sizeof text, &at);
        sscanf(text, "%d.%d", &card->major, &card->minor);
        field(text, sizeof text, &at);
        card->mib = strtoull(text, NULL, 10);
        field(card->uuid, sizeof card->uuid, &at);
        field(card->flags, sizeof card->flags, &at);
        at += *at == ';';
    }
    note("init");
    return OK;
}

/* A handle is 1 + the card's number, and for a MIG device 1000 * (1 + its number) more. */
static card_t *card_of(void *handle) { return &cards[((size_t)handle % 1000 - 1) % 16]; }
static int slice_of(void *handle) { return (int)((size_t)handle / 1000) - 1; }
static int flagged(void *handle, const char *flag) { return strstr(card_of(handle)->flags, flag) != NULL; }

int nvmlInit_v2(void) { return start(); }
#if DRIVER >= 410
int nvmlInitWithFlags(unsigned int flags) { (void)flags; return start(); }
#endif
int nvmlShutdown(void) { note("shutdown"); return number("FAKE_NVML_SHUTDOWN", OK); }

const char *nvmlErrorString(int code) {
    static char text[64];
    snprintf(text, sizeof text, "fake error\n%d", code);
    return text;
}

int nvmlDeviceGetCount_v2(unsigned int *answer) {
    *answer = count;
    return number("FAKE_NVML_COUNT", OK);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle) {
    if (index >= count) return INVALID;
    *handle = (void *)(size_t)(index + 1);
    if (flagged(*handle, "lost")) return LOST;
    return flagged(*handle, "forbidden") ? NO_PERMISSION : OK;
}

int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
    if (slice_of(handle) >= 0) return INVALID; /* as the real one: not for MIG devices */
    *major = card_of(handle)->major;
    *minor = card_of(handle)->minor;
    return flagged(handle, "nocap") ? NOT_SUPPORTED : OK;
}

int nvmlDeviceGetName(void *handle, char *name, unsigned int room) {
    if (flagged(handle, "noname")) return UNKNOWN;
    if (slice_of(handle) < 0) snprintf(name, room, "%s", card_of(handle)->name);
    else snprintf(name, room, "%s MIG 1g.5gb", card_of(handle)->name);
    return OK;
}

int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned int room) {
    if (flagged(handle, "nouuid")) return UNKNOWN;
    if (slice_of(handle) < 0) snprintf(uuid, room, "%s", card_of(handle)->uuid);
    else snprintf(uuid, room, "MIG-%d%s", slice_of(handle), card_of(handle)->uuid + strlen("GPU-"));
    return OK;
}

int nvmlDeviceGetMemoryInfo(void *handle, memory_t *memory) {
    if (flagged(handle, "nomem")) return NOT_SUPPORTED;
    memory->total = (slice_of(handle) < 0 ? card_of(handle)->mib : 4864) << 20;
    memory->free = memory->total;
    memory->used = 0;
    return OK;
}

#if DRIVER >= 450
static int slices(void *handle) {
    const char *flag = strstr(card_of(handle)->flags, "mig=");
    return flag ? atoi(flag + 4) : 0;
}

int nvmlDeviceGetMigMode(void *handle, unsigned int *current, unsigned int *pending) {
    if (card_of(handle)->major < 8) return NOT_SUPPORTED;
    *current = *pending = flagged(handle, "mig=");
    return OK;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned int *answer) {
    (void)handle;
    *answer = 7;
    return OK;
}

/* The places are filled from the second on: real ones need not be filled in order either. */
int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned int index, void **slice) {
    if (index < 1 || (int)index > slices(handle)) return NOT_FOUND;
    *slice = (void *)((size_t)handle + 1000 * (size_t)index);
    return OK;
}
#endif
