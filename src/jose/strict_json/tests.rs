use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Value, JsonRefused> {
    parse(text.as_bytes(), &Limits::default())
}

#[test]
fn reads_every_type() {
    let value = read(r#" {"a":[null,true,-1,18446744073709551615,1.5,"\u00e9"],"b":{}} "#).unwrap();

    assert_eq!(
        value,
        serde_json::json!({"a": [null, true, -1, 18_446_744_073_709_551_615_u64, 1.5, "é"], "b": {}})
    );
}

#[test]
fn jwt_4_refuses_a_member_that_stands_twice() {
    let refused = read(r#"{"sub":"a","aud":"x","sub":"b"}"#).unwrap_err();

    assert_eq!(
        refused.to_string(),
        "found member `sub` twice in one object, expected it once"
    );
}

#[test]
fn jwt_4_refuses_a_member_that_stands_twice_once_unescaped() {
    assert!(matches!(
        read(r#"{"sub":"a","\u0073ub":"b"}"#),
        Err(JsonRefused::DuplicateMember { .. })
    ));
}

#[test]
fn jwk_1_refuses_a_member_that_stands_twice_at_any_depth() {
    assert!(matches!(
        read(r#"{"keys":[{"kid":"a"},{"x":{"kid":"a","kid":"a"}}]}"#),
        Err(JsonRefused::DuplicateMember { .. })
    ));
}

#[test]
fn takes_one_name_in_two_objects() {
    assert!(read(r#"[{"a":1},{"a":{"a":2}}]"#).is_ok());
}

#[test]
fn t_40c_takes_16_levels_and_refuses_17() {
    let arrays = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));

    assert!(read(&arrays(16)).is_ok());
    assert!(read(&objects(16)).is_ok());
    assert!(matches!(read(&arrays(17)), Err(JsonRefused::Depth { limit: 16 })));
    assert!(matches!(read(&objects(17)), Err(JsonRefused::Depth { limit: 16 })));
}

#[test]
fn t_40c_refuses_a_million_open_brackets_without_recursing_into_them() {
    assert!(matches!(
        read(&"[".repeat(1_000_000)),
        Err(JsonRefused::Depth { limit: 16 })
    ));
}

#[test]
fn t_40c_takes_2000_strings_and_refuses_2001_member_names_included() {
    let members = |count: usize| {
        let members: Vec<_> = (0..count).map(|n| format!(r#""{n}":"x""#)).collect();
        format!("{{{}}}", members.join(","))
    };
    let texts = |count: usize| format!("[{}]", vec!["\"\""; count].join(","));

    assert!(read(&members(1_000)).is_ok());
    assert!(read(&texts(2_000)).is_ok());
    assert!(matches!(
        read(&members(1_001)),
        Err(JsonRefused::Strings { limit: 2_000 })
    ));
    assert!(matches!(
        read(&texts(2_001)),
        Err(JsonRefused::Strings { limit: 2_000 })
    ));
}

#[test]
fn refuses_trailing_data() {
    for text in ["{} {}", "{}x", "1 2", "[],", "null\0"] {
        assert!(matches!(read(text), Err(JsonRefused::Syntax(_))), "{text:?}");
    }
}

#[test]
fn jwt_bcp_7_refuses_bytes_that_are_not_utf_8() {
    for bytes in [
        &b"\"\xff\""[..],
        b"\"\xc0\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"{\"a\xe9\":1}",
        b"\xff\xfe{\0}\0",
    ] {
        assert!(
            matches!(parse(bytes, &Limits::default()), Err(JsonRefused::Utf8(_))),
            "{bytes:?}"
        );
    }
}

#[test]
fn refuses_what_lenient_readers_take() {
    for text in [
        "",
        " ",
        "{a:1}",
        "{'a':1}",
        "[1,]",
        "{\"a\":1,}",
        "// c\n1",
        "NaN",
        "Infinity",
        "-Infinity",
        "01",
        "+1",
        "1.",
        ".5",
        "0x1",
        "1e400",
        "-1e400",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"a\nb\"",
        "\u{feff}{}",
        "True",
        "undefined",
    ] {
        assert!(matches!(read(text), Err(JsonRefused::Syntax(_))), "{text:?}");
    }
}

#[test]
fn an_object_is_told_from_every_other_document() {
    let limits = Limits::default();

    assert!(parse_object(b"{}", &limits).unwrap().is_some());
    for text in ["null", "true", "1", "\"a\"", "[]"] {
        assert!(parse_object(text.as_bytes(), &limits).unwrap().is_none(), "{text}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map(".{0,4}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reads_back_whatever_was_written(value in any_value()) {
        prop_assert_eq!(read(&value.to_string()).unwrap(), value);
    }

    #[test]
    fn never_panics_and_never_takes_what_serde_json_refuses(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        if let Ok(value) = parse(&bytes, &Limits::default()) {
            prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value);
        }
    }

    #[test]
    fn never_takes_what_serde_json_refuses_of_texts_that_look_like_json(
        text in r#"[\[\]{}:,"a01eE.\- \\u]{0,40}"#,
    ) {
        if let Ok(value) = read(&text) {
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }
}
