use super::fixture::Fixture;
use crate::*;

#[tokio::test]
async fn a_file_is_imported_by_one_at_a_time_and_has_ended_once_that_was_noted() {
    let books = Fixture::new().await;
    let program = books.program.program_id;
    let conn = &mut *books.pool.acquire().await.unwrap();
    let other = &mut *books.pool.acquire().await.unwrap();
    assert!(!begin_import(conn, program, "import:a").await.unwrap());
    tamper(other, "set lock_timeout = '50ms'").await.unwrap();
    let error = begin_import(other, program, "import:a").await.unwrap_err().to_string();
    assert!(error.contains("somebody imports this file just now"), "{error}");
    assert!(!begin_import(other, program, "import:b").await.unwrap(), "another file is another import");
    end_import(other, program, "import:b").await.unwrap();
    assert!(begin_import(other, program, "import:b").await.unwrap());
    // Whoever was cut off has ended nothing.
    assert!(!begin_import(conn, program, "import:a").await.unwrap());
    for change in ["delete from ended_import", "update ended_import set source = 'import:a'"] {
        let error = tamper(conn, change).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{error}");
    }
}
