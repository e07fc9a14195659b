use super::*;

#[test]
fn interpreters_are_known_by_name_and_version() {
    for (program, known) in [
        ("/usr/bin/python3.11", Some("python")),
        ("/usr/bin/python3.8d", Some("python")),
        ("/opt/node/bin/node", Some("node")),
        ("/usr/bin/php8.2", Some("php")),
        ("/usr/bin/dash", Some("sh")),
        ("/usr/lib64/ld-linux-x86-64.so.2", Some("ld-linux")),
        ("/bin/busybox", Some("busybox")),
        ("/usr/sbin/php-fpm8.2", None),
        ("/usr/bin/node_exporter", None),
        ("/usr/sbin/nginx", None),
        ("/usr/bin/javac", None),
        ("", None),
    ] {
        let rules = rules_of(program.as_bytes());
        assert_eq!(rules.map(|rules| rules.names[0]), known, "{program}");
    }
}

#[test]
fn scripts_are_found_behind_options() {
    use Script::{Code, File, Name, Unknown};
    for (line, script) in [
        ("python3 server.py --port 80", File(&b"server.py"[..])),
        ("python3 -u -W ignore /srv/app.py", File(b"/srv/app.py")),
        ("python3 -uWignore app.py", File(b"app.py")),
        ("python3 -m http.server 8000", Name(b"http.server")),
        ("python3 -Im http.server", Name(b"http.server")),
        ("python3 -c secret x.py", Code(b"secret")),
        ("python3 -csecret", Code(b"secret")),
        ("python3 -", Unknown),
        ("python3", Unknown),
        ("python3 -m", Unknown),
        ("node --max-old-space-size=1 -r ./a.js app.js", File(b"app.js")),
        ("node --require=./a.js app.js", File(b"app.js")),
        ("node inspect app.js", File(b"app.js")),
        ("node -e 1", Code(b"1")),
        ("node -- -e", File(b"-e")),
        ("ruby -I lib -rjson app.rb", File(b"app.rb")),
        ("ruby -W0 app.rb", File(b"app.rb")),
        ("perl -Mstrict -w app.pl", File(b"app.pl")),
        ("perl -ne print", Code(b"print")),
        ("java -Xmx1g -cp a:b org.Main arg", Name(b"org.Main")),
        ("java -Xmx1g /srv/Server.java arg", File(b"/srv/Server.java")),
        ("java -jar /srv/app.jar", File(b"/srv/app.jar")),
        ("java -Dx=y --module-path=m -m mod/cls", Name(b"mod/cls")),
        ("sh run.sh", File(b"run.sh")),
        ("sh -ec exit", Code(b"exit")),
        ("bash -c -e exit", Code(b"exit")),
        ("bash --rcfile f -o errexit run.sh", File(b"run.sh")),
        ("sh +x run.sh", File(b"run.sh")),
        ("sh -s run", Unknown),
        ("php -S 127.0.0.1:80 -t www router.php", File(b"router.php")),
        ("php -S 127.0.0.1:80", Unknown),
        ("php -d x=1 -f a.php", File(b"a.php")),
        ("deno run --allow-net=:80 -A server.ts", File(b"server.ts")),
        ("deno eval code", Unknown),
        ("bun run app.ts", File(b"app.ts")),
        ("dotnet exec app.dll", File(b"app.dll")),
        ("busybox httpd -f", Name(b"httpd")),
        ("busybox sh run.sh", File(b"run.sh")),
        ("beam.smp -- -root", Unknown),
    ] {
        let bytes: Vec<u8> = line.split(' ').flat_map(|a| [a.as_bytes(), b"\0"].concat()).collect();
        let program = line.split(' ').next().unwrap();
        let found = find(rules_of(program.as_bytes()).unwrap(), &bytes);
        assert_eq!(found, script, "{line}");
    }
    let called_by_link = find(rules_of(b"busybox").unwrap(), b"/usr/sbin/httpd\0-f\0");
    assert_eq!(called_by_link, Name(b"httpd"));
}

#[test]
fn only_names_are_shown() {
    assert_eq!(Script::File(b"/srv/app.py").shown(), Some(&b"app.py"[..]));
    assert_eq!(Script::Name(b"http.server").shown(), Some(&b"http.server"[..]));
    assert_eq!(Script::Code(b"password").shown(), None);
    assert_eq!(Script::Unknown.shown(), None);
}
