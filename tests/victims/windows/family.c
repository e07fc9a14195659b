/* A parent and its child, which show that they live by files that grow, for as long as the file
 * `keep` is there.
 *
 *     family
 */
#include <stdio.h>
#include <string.h>
#include <windows.h>

int main(int count, char **words) {
    const char *name = "parent";
    if (count > 1) {
        name = words[1];
    } else {
        char line[] = "family child";
        char self[MAX_PATH];
        PROCESS_INFORMATION child;
        STARTUPINFOA startup = {.cb = sizeof startup};
        GetModuleFileNameA(NULL, self, sizeof self);
        if (!CreateProcessA(self, line, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &child)) return 1;
    }
    while (GetFileAttributesA("keep") != INVALID_FILE_ATTRIBUTES) {
        FILE *file = fopen(name, "ab");
        if (file) {
            fputc('.', file);
            fclose(file);
        }
        Sleep(20);
    }
    return 0;
}
