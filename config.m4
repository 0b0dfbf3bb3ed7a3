dnl Builds the extension with cargo, so that `phpize && ./configure && make && make install` works, as PIE does it.
dnl No C is compiled: Makefile.frag holds the rules. Whatever the build needs is looked for here, before minutes of compiling:
dnl the first crates to fail without it are not ours, and their messages do not say what to install.

PHP_ARG_ENABLE([ferry],
  [whether to enable Ferry],
  [AS_HELP_STRING([--enable-ferry], [Enable Ferry])],
  [yes])

PHP_ARG_WITH([ferry-drivers],
  [which drivers to build in],
  [AS_HELP_STRING([--with-ferry-drivers=LIST], [Drivers to build in, between commas, for instance redis,sqlite (all)])],
  [all],
  [no])

if test "$PHP_FERRY" != "no"; then
  FERRY_RUST="1.94"

  AC_PATH_PROG([FERRY_CARGO], [cargo])
  if test -z "$FERRY_CARGO"; then
    AC_MSG_ERROR([Ferry is built with Rust $FERRY_RUST or later, and there is no cargo in PATH: install Rust with rustup])
  fi
  AC_MSG_CHECKING([for Rust $FERRY_RUST or later])
  FERRY_RUST_FOUND=`cd "$abs_srcdir" && "$FERRY_CARGO" --version 2>/dev/null | awk '{print $2}'`
  if ! printf '%s\n%s\n' "$FERRY_RUST" "$FERRY_RUST_FOUND" | sort -V -C; then
    AC_MSG_RESULT([${FERRY_RUST_FOUND:-none}])
    AC_MSG_ERROR([Ferry is built with Rust $FERRY_RUST or later, and $FERRY_CARGO is ${FERRY_RUST_FOUND:-not able to say its version}: run `rustup update stable`, or put the cargo of rustup before that of the distribution in PATH])
  fi
  AC_MSG_RESULT([$FERRY_RUST_FOUND])

  dnl Without --with-php-config, PHP_CONFIG is the bare word `php-config`; the binding crate takes it for a path.
  FERRY_PHP_CONFIG=`command -v "$PHP_CONFIG"`
  if test -z "$FERRY_PHP_CONFIG"; then
    AC_MSG_ERROR([there is no $PHP_CONFIG: install the headers of PHP (Debian: php-dev), or name it with --with-php-config=/path/to/php-config])
  fi

  dnl The PHP that php-config belongs to, which need not be the first in PATH.
  FERRY_PHP=`$FERRY_PHP_CONFIG --php-binary`
  AC_MSG_CHECKING([whether $FERRY_PHP is a PHP 8.1 to 8.5 without threads])
  FERRY_PHP_FOUND=`"$FERRY_PHP" -n -r 'echo PHP_ZTS, " ", PHP_VERSION;' 2>/dev/null`
  AC_MSG_RESULT([${FERRY_PHP_FOUND:-it does not run}])
  FERRY_PHP_VERSION=`echo "$FERRY_PHP_FOUND" | cut -c3-`
  case "$FERRY_PHP_FOUND" in
    "0 8.1."* | "0 8.2."* | "0 8.3."* | "0 8.4."* | "0 8.5."*) ;;
    "1 "*)
      AC_MSG_ERROR([Ferry does not support thread-safe (ZTS) builds of PHP yet, and $FERRY_PHP is one: use an NTS build]) ;;
    "0 "*)
      AC_MSG_ERROR([Ferry supports PHP 8.1 to 8.5, and $FERRY_PHP is $FERRY_PHP_VERSION: name the php-config of another PHP with --with-php-config=/path/to/php-config]) ;;
    *)
      AC_MSG_ERROR([$FERRY_PHP_CONFIG names $FERRY_PHP as its PHP, which does not run: install it (Debian: php-cli), or name another with --with-php-config=/path/to/php-config]) ;;
  esac

  dnl clang reads PHP's headers while building; the places are those that the crate clang-sys looks at.
  AC_MSG_CHECKING([for libclang])
  FERRY_LIBCLANG=
  for directory in "$LIBCLANG_PATH" `llvm-config --libdir 2>/dev/null` /usr/lib/llvm-*/lib /usr/lib*/llvm*/lib* /usr/lib /usr/lib64 \
    /usr/lib/*-linux-gnu /usr/local/lib /usr/local/lib64 /usr/local/llvm*/lib; do
    for library in "$directory"/libclang.so "$directory"/libclang.so.* "$directory"/libclang-@<:@0-9@:>@*.so*; do
      if test -n "$directory" && test -e "$library"; then FERRY_LIBCLANG="$library"; fi
    done
  done
  AC_MSG_RESULT([${FERRY_LIBCLANG:-no}])
  if test -z "$FERRY_LIBCLANG"; then
    AC_MSG_ERROR([the build reads PHP's headers with libclang, and there is none: install it (Debian: libclang-dev, Fedora: clang-devel, Alpine: clang-dev), or set LIBCLANG_PATH to its folder])
  fi

  dnl SQLite is the system's, the copy that PHP's own PDO uses. The drivers of all databases share a crate, which links it.
  case ",$PHP_FERRY_DRIVERS," in
    ,all, | ,yes, | *,sqlite,* | *,mysql,* | *,postgres,*)
      FERRY_LDFLAGS="$LDFLAGS"
      if test -n "$SQLITE3_LIB_DIR"; then LDFLAGS="$LDFLAGS -L$SQLITE3_LIB_DIR"; fi
      AC_CHECK_LIB([sqlite3], [sqlite3_open_v2], [:],
        [AC_MSG_ERROR([the SQLite library to link against is missing: install it (Debian: libsqlite3-dev), set SQLITE3_LIB_DIR to its folder, or build without that driver, for instance --with-ferry-drivers=redis,amqp])])
      LDFLAGS="$FERRY_LDFLAGS" ;;
  esac

  FERRY_FEATURES=
  if test "$PHP_FERRY_DRIVERS" != "all" && test "$PHP_FERRY_DRIVERS" != "yes"; then
    FERRY_DRIVERS=`sed -n '/^\@<:@features\@:>@/,/^$/s/ = .*//p' "$abs_srcdir/Cargo.toml" | grep -v default | tr '\n' ' '`
    for driver in `echo "$PHP_FERRY_DRIVERS" | tr ',' ' '`; do
      case " $FERRY_DRIVERS" in
        *" $driver "*) ;;
        *) AC_MSG_ERROR([there is no driver $driver to build in: --with-ferry-drivers takes some of $FERRY_DRIVERS, between commas]) ;;
      esac
    done
    FERRY_FEATURES="--no-default-features --features $PHP_FERRY_DRIVERS"
  fi

  PHP_SUBST([FERRY_CARGO])
  PHP_SUBST([FERRY_FEATURES])
  PHP_SUBST([FERRY_PHP])
  PHP_SUBST([FERRY_PHP_CONFIG])

  dnl The .la names the module for `make test`; `make install` copies the module and drops the .la.
  PHP_MODULES="$PHP_MODULES \$(phplibdir)/ferry.la"
  PHP_ADD_BUILD_DIR([modules])
  PHP_ADD_MAKEFILE_FRAGMENT([$abs_srcdir/Makefile.frag], [$abs_srcdir], [.])
fi
