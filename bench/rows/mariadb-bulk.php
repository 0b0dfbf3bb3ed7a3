<?php

// A thousand jobs at once, on MariaDB.

declare(strict_types=1);

require __DIR__ . '/../lib/mariadb_row.php';
require __DIR__ . '/../lib/sql_bulk.php';
