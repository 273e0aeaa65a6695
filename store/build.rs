fn main() {
    // Migrations are embedded: a new file there is a new build.
    println!("cargo:rerun-if-changed=../migrations");
}
