<?php

declare(strict_types=1);

namespace Ferry\Console;

/** A column of a {@see Grid}: its title, how it gives way on a narrow terminal, and its colour. */
final class Column
{
    /**
     * @param string $title text without tags
     * @param int|null $least cells may be cut to this width; null: never
     * @param int $most the width of its cells where there is room
     * @param int $rank on a narrow terminal the column with the lowest rank is left out first; 0: never
     * @param bool $keepEnd a cell that is cut loses its beginning
     * @param bool $leads stands in the first line, where a row takes two
     * @param string|\Closure(string): string $style a style of symfony/console for its cells, or what makes tags of escaped text, its title too
     */
    public function __construct(
        public readonly string $title,
        public readonly ?int $least = null,
        public readonly int $most = 1000,
        public readonly int $rank = 0,
        public readonly bool $keepEnd = false,
        public readonly bool $leads = false,
        public readonly string|\Closure $style = '',
    ) {
    }
}
