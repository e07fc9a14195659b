/* Counts the Ctrl-C that its console sends, and ends with that number at the first one.
 *
 *     console           makes the file `ready` and waits for one
 *     console WORDS...  starts these words in the same console, sends one to all in it, and writes
 *                       what comes of it to the file `result`
 */
#include <stdio.h>
#include <string.h>
#include <windows.h>

static volatile LONG seen;

static BOOL WINAPI on_event(DWORD event) {
    if (event == CTRL_C_EVENT) InterlockedIncrement(&seen);
    return TRUE;
}

int main(int count, char **words) {
    SetConsoleCtrlHandler(on_event, TRUE);
    if (count == 1) {
        FILE *ready = fopen("ready", "wb");
        if (!ready) return 5;
        fclose(ready);
        for (int i = 0; i < 200 && !seen; i++) Sleep(50);
        printf("seen %ld\n", seen);
        return seen ? 42 : 1;
    }
    char line[4096] = "";
    for (int i = 1; i < count; i++) {
        strcat(line, words[i]);
        strcat(line, " ");
    }
    PROCESS_INFORMATION child;
    STARTUPINFOA startup = {.cb = sizeof startup};
    if (!CreateProcessA(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &child)) return 3;
    for (int i = 0; i < 400 && GetFileAttributesA("ready") == INVALID_FILE_ATTRIBUTES; i++)
        Sleep(50);
    FILE *result = fopen("result", "wb");
    if (!result) return 4;
    if (!GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0))
        fprintf(result, "not sent: %lu\n", GetLastError());
    DWORD code = 0;
    WaitForSingleObject(child.hProcess, INFINITE);
    GetExitCodeProcess(child.hProcess, &code);
    for (int i = 0; i < 200 && !seen; i++) Sleep(50);
    fprintf(result, "ended with %lu, saw %ld\n", code, seen);
    fclose(result);
    return 0;
}
