/* Runs the command line that is in a file, word for word, and prints all 32 bits of its exit code.
 *
 *     report FILE
 */
#include <stdio.h>
#include <windows.h>

int main(int count, char **words) {
    if (count != 2) return 2;
    char line[8192];
    FILE *file = fopen(words[1], "rb");
    if (!file) return 2;
    line[fread(line, 1, sizeof line - 1, file)] = 0;
    fclose(file);
    PROCESS_INFORMATION child;
    STARTUPINFOA startup = {.cb = sizeof startup};
    if (!CreateProcessA(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &child)) {
        printf("not started: %lu\n", GetLastError());
        return 1;
    }
    DWORD code = 0;
    WaitForSingleObject(child.hProcess, INFINITE);
    GetExitCodeProcess(child.hProcess, &code);
    printf("ended with 0x%08lx\n", code);
    return 0;
}
