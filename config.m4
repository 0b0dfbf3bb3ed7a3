dnl Builds the extension with cargo, so that `phpize && ./configure && make && make install` works, as PIE does it.
dnl No C is compiled: Makefile.frag holds the rules, and build.rs checks the PHP.

PHP_ARG_ENABLE([ferry],
  [whether to enable Ferry],
  [AS_HELP_STRING([--enable-ferry], [Enable Ferry])],
  [yes])

if test "$PHP_FERRY" != "no"; then
  AC_PATH_PROG([FERRY_CARGO], [cargo])
  if test -z "$FERRY_CARGO"; then
    AC_MSG_ERROR([Ferry is built with Rust 1.94 or later, and there is no cargo in PATH: install Rust with rustup])
  fi

  dnl Without --with-php-config, PHP_CONFIG is the bare word `php-config`; the binding crate takes it for a path.
  FERRY_PHP_CONFIG=`command -v "$PHP_CONFIG"`
  if test -z "$FERRY_PHP_CONFIG"; then
    AC_MSG_ERROR([there is no $PHP_CONFIG: install the headers of PHP (Debian: php-dev), or name it with --with-php-config=/path/to/php-config])
  fi

  dnl The PHP that php-config belongs to, which need not be the first in PATH.
  FERRY_PHP=`$FERRY_PHP_CONFIG --php-binary`
  PHP_SUBST([FERRY_CARGO])
  PHP_SUBST([FERRY_PHP])
  PHP_SUBST([FERRY_PHP_CONFIG])

  dnl The .la names the module for `make test`; `make install` copies the module and drops the .la.
  PHP_MODULES="$PHP_MODULES \$(phplibdir)/ferry.la"
  PHP_ADD_BUILD_DIR([modules])
  PHP_ADD_MAKEFILE_FRAGMENT([$abs_srcdir/Makefile.frag], [$abs_srcdir], [.])
fi
