/* A small libcuda.so.1 for the tests.
 *
 * FAKE_CUDA_DEVICES  cards in CUDA's order, separated by ';', each "name|major.minor|MiB|uuid|flags"; flags: broken
 * FAKE_CUDA_INIT     what cuInit returns (a CUresult)
 * FAKE_CUDA_MASKED   what cuInit returns where CUDA_VISIBLE_DEVICES is set
 * FAKE_CUDA_CRASH    cuInit ends the process
 * It applies CUDA_VISIBLE_DEVICES as far as the tests need it: numbers and whole UUIDs up to the first invalid one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, NO_DEVICE = 100, INVALID_DEVICE = 101, ECC_UNCORRECTABLE = 214 };

typedef struct { char name[96], uuid[96], flags[64]; int major, minor; unsigned long long mib; } card_t;

static card_t cards[16];
static int count, shown[16], visible;

static void field(char *to, size_t room, const char **from) {
    size_t length = strcspn(*from, "|;");
    snprintf(to, room, "%.*s", (int)length, *from);
    *from += length + ((*from)[length] == '|');
}

static int find(const char *entry, size_t length) {
    char *end;
    for (int i = 0; i < count; i++)
        if (length && strlen(cards[i].uuid) == length && !strncmp(cards[i].uuid, entry, length)) return i;
    long number = strtol(entry, &end, 10);
    return end == entry || number < 0 || number >= count ? -1 : (int)number;
}

int cuInit(unsigned int flags) {
    const char *at = getenv("FAKE_CUDA_DEVICES"), *code = getenv("FAKE_CUDA_INIT");
    char text[32];
    (void)flags;
    if (getenv("FAKE_CUDA_CRASH")) abort();
    if (code && *code) return atoi(code);
    code = getenv("FAKE_CUDA_MASKED");
    if (code && getenv("CUDA_VISIBLE_DEVICES")) return atoi(code);
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
    at = getenv("CUDA_VISIBLE_DEVICES");
    if (!at)
        for (visible = 0; visible < count; visible++) shown[visible] = visible;
    else
        while (*at) {
            size_t length = strcspn(at, ",");
            int found = find(at, length);
            if (found < 0) break;
            shown[visible++] = found;
            at += length + (at[length] == ',');
        }
    return visible ? OK : NO_DEVICE;
}

int cuDeviceGetCount(int *answer) { *answer = visible; return OK; }
int cuDeviceGet(int *device, int ordinal) { *device = shown[ordinal]; return ordinal < visible ? OK : INVALID_DEVICE; }

int cuDeviceGetAttribute(int *answer, int attribute, int device) {
    *answer = attribute == 75 ? cards[device].major : attribute == 76 ? cards[device].minor : -1;
    return strstr(cards[device].flags, "broken") ? ECC_UNCORRECTABLE : OK;
}

int cuDeviceGetName(char *name, int room, int device) { snprintf(name, room, "%s", cards[device].name); return OK; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = cards[device].mib << 20; return OK; }

int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
    const char *text = cards[device].uuid + strlen("GPU-");
    for (int i = 0; i < 16; i++, text += 2) {
        unsigned int byte = 0;
        text += *text == '-';
        sscanf(text, "%2x", &byte);
        uuid[i] = (unsigned char)byte;
    }
    return OK;
}

int cuGetErrorName(int code, const char **name) {
    *name = code == ECC_UNCORRECTABLE ? "CUDA_ERROR_ECC_UNCORRECTABLE" : "CUDA_ERROR_FAKE";
    return OK;
}
