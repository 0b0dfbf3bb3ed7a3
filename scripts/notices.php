<?php

// Reads `cargo metadata` on standard input and prints the crates that are linked into the extension, with the texts of their licenses.
// A license that is not in the list below stops the release: somebody has to decide.

declare(strict_types=1);

const ACCEPTED = ['MIT', 'Apache-2.0', 'Apache-2.0 WITH LLVM-exception', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'Zlib', 'Unicode-3.0', '0BSD', 'CC0-1.0', 'Unlicense', 'MIT-0', 'BSL-1.0', 'CDLA-Permissive-2.0'];

/** Whether one of the alternatives of an SPDX expression is accepted whole. */
function accepted(string $license): bool
{
    foreach (preg_split('~ OR |/~', str_replace(['(', ')'], '', $license)) as $alternative) {
        if (array_diff(explode(' AND ', trim($alternative)), ACCEPTED) === []) {
            return true;
        }
    }
    return false;
}

/** @return array<string, true> ids of what the extension links, without build and development dependencies */
function linked(array $metadata): array
{
    $nodes = array_column($metadata['resolve']['nodes'], null, 'id');
    $todo = [$metadata['resolve']['root']];
    $found = [];
    while ($todo !== []) {
        $id = array_pop($todo);
        if (isset($found[$id])) {
            continue;
        }
        $found[$id] = true;
        foreach ($nodes[$id]['deps'] as $dependency) {
            if (in_array(null, array_column($dependency['dep_kinds'], 'kind'), true)) {
                $todo[] = $dependency['pkg'];
            }
        }
    }
    return $found;
}

$metadata = json_decode(stream_get_contents(STDIN), true, 512, JSON_THROW_ON_ERROR);
$linked = linked($metadata);
$refused = [];
$texts = [];
foreach ($metadata['packages'] as $package) {
    if (!isset($linked[$package['id']]) || $package['source'] === null) {
        continue;
    }
    $name = "{$package['name']} {$package['version']}";
    $license = (string) ($package['license'] ?? 'see its license file');
    accepted($license) || $refused[] = "$name: $license";
    echo "\n$name: $license\n    {$package['repository']}\n";
    foreach (glob(dirname($package['manifest_path']) . '/{LICEN[CS]E,COPYING,NOTICE}*', GLOB_BRACE) as $file) {
        $text = is_file($file) ? trim((string) file_get_contents($file)) : '';
        // Most crates carry the same texts; each is printed once.
        $texts[preg_replace('/\s+/', ' ', $text)] ??= ['text' => $text, 'of' => []];
        $texts[preg_replace('/\s+/', ' ', $text)]['of'][] = $name;
    }
}
unset($texts['']);
foreach ($texts as ['text' => $text, 'of' => $of]) {
    echo "\n", str_repeat('=', 80), "\n", wordwrap('Of ' . implode(', ', $of) . ':', 100), "\n\n$text\n";
}
if ($refused !== []) {
    fwrite(STDERR, "licenses that scripts/notices.php does not accept yet:\n  " . implode("\n  ", $refused) . "\n");
    exit(1);
}
