<?php

namespace Shop\Stage;

use RuntimeException;

/** A real browser without a window. */
final class Browser
{
    private const PROGRAMS = ['chromium-headless-shell', 'chromium', 'google-chrome'];

    /**
     * Opens a page, runs its scripts, and waits until all of it is loaded.
     *
     * @return array{string, list<string>} the document as it is then, and what its console shows
     */
    public static function open(string $folder, string $page): array
    {
        // Root may not have a sandbox; the page is our own, and names no other host.
        $options = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', "--user-data-dir=$folder/browser", '--enable-logging=stderr', '--dump-dom'];
        $streams = [['file', '/dev/null', 'r'], ['file', "$folder/logs/browser.html", 'w'], ['file', "$folder/logs/browser.log", 'w']];
        $process = proc_open(['timeout', '60', self::program(), ...$options, "file://$page"], $streams, $pipes);
        if ($process === false || proc_close($process) !== 0) {
            throw new RuntimeException("the browser did not open $page:\n" . @file_get_contents("$folder/logs/browser.log"));
        }
        $said = preg_grep('/:CONSOLE|net_error|Failed to load resource/', file("$folder/logs/browser.log", FILE_IGNORE_NEW_LINES));
        return [file_get_contents("$folder/logs/browser.html"), array_values($said)];
    }

    private static function program(): string
    {
        foreach (self::PROGRAMS as $name) {
            $found = trim((string) shell_exec("command -v $name"));
            if ($found !== '') {
                return $found;
            }
        }
        throw new RuntimeException('there is no browser; Debian: apt-get install chromium-headless-shell');
    }
}
