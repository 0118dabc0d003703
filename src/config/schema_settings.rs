//! The JSON schema of `dondoc.toml`.

use serde_json::Value;

use super::schema_parts::{any_text, file, form, list, table, text, whole, word};
use crate::planning::task::Block;

/// The schema of the settings file.
pub(super) fn settings() -> Value {
    let block = || {
        table(
            "một khối",
            &["focal_agency"],
            [("focal_agency", text("cơ quan đầu mối của khối: mã hoặc tên trong danh bạ"))],
        )
    };
    let smtp = table(
        "máy chuyển thư, khi transport = \"smtp\"",
        &["host", "tls"],
        [
            ("host", text("tên hoặc địa chỉ máy chuyển thư")),
            ("port", whole(1, 65_535, "cổng: 25, 587 (starttls) hoặc 465 (implicit)")),
            (
                "tls",
                word(
                    &["implicit", "starttls", "none"],
                    "mã hóa đường truyền: implicit, starttls (không bao giờ lùi về không mã hóa), none (chỉ tới chính máy này)",
                ),
            ),
            ("username", text("tên đăng nhập máy chuyển thư")),
            ("password_file", text("tệp chứa mật khẩu; mật khẩu không viết trong tệp cấu hình")),
            ("max_connections", whole(1, 100, "số kết nối cùng lúc")),
            ("messages_per_minute", whole(1, 100_000, "số thư nhiều nhất một phút")),
        ],
    );
    let maildir = table("thư mục để thư, khi transport = \"maildir\"", &[], [("path", text("thư mục để thư"))]);
    let email = table(
        "thư điện tử",
        &["transport", "from", "allowed_domains"],
        [
            ("transport", word(&["maildir", "smtp"], "maildir để thư vào thư mục, không gửi đi đâu; smtp gửi thật")),
            ("from", form("@", "địa chỉ gửi: Đôn đốc nhiệm vụ <dondoc@office.example>")),
            ("reply_to", form("@", "địa chỉ nhận trả lời")),
            ("operator", form("@", "địa chỉ bộ phận vận hành: nhận danh sách hằng ngày những ai không liên hệ được")),
            (
                "daily_list_at",
                form(
                    r"^\s*(([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?)?\s*$",
                    "giờ gửi danh sách ấy, mỗi ngày làm việc; để trống là không gửi",
                ),
            ),
            (
                "allowed_domains",
                list(
                    form(r"^[^\s@*.-][^\s@*]*$", "tên miền, không có @ và *"),
                    1,
                    "chỉ gửi tới các tên miền này và tên miền con",
                ),
            ),
            ("maildir", maildir),
            ("smtp", smtp),
        ],
    );
    let zalo = table(
        "nhắn qua Zalo",
        &[],
        [
            ("mode", word(&["off", "webhook"], "off không gửi; webhook gửi qua một trạm chuyển tiếp")),
            (
                "webhook",
                table(
                    "trạm chuyển tiếp, khi mode = \"webhook\"",
                    &[],
                    [
                        ("url", form("^https?://", "địa chỉ trạm chuyển tiếp")),
                        ("secret_file", text("tệp chứa khóa ký; khi đổi khóa: hai dòng, khóa mới trước")),
                    ],
                ),
            ),
        ],
    );
    file(
        "dondoc.toml: cấu hình dịch vụ",
        table(
            "cấu hình dịch vụ dondoc",
            &["office", "email"],
            [
                (
                    "office",
                    table(
                        "cơ quan",
                        &["name"],
                        [
                            ("name", text("tên cơ quan theo dõi nhiệm vụ")),
                            ("time_zone", text("múi giờ: Asia/Ho_Chi_Minh")),
                        ],
                    ),
                ),
                (
                    "files",
                    table(
                        "các tệp khác; đường dẫn tính từ thư mục chứa tệp này",
                        &[],
                        [
                            ("rules", text("tệp quy tắc")),
                            ("calendar", text("tệp lịch làm việc")),
                            ("templates", text("thư mục mẫu thư riêng của cơ quan")),
                        ],
                    ),
                ),
                (
                    "store",
                    table(
                        "cơ sở dữ liệu",
                        &[],
                        [
                            (
                                "url",
                                form(
                                    "^(sqlite:|postgres(ql)?://)",
                                    "sqlite: và đường dẫn một tệp, hoặc postgres://người-dùng@máy-chủ/tên",
                                ),
                            ),
                            (
                                "password_file",
                                text("tệp chứa mật khẩu của PostgreSQL; mật khẩu không viết trong tệp cấu hình"),
                            ),
                        ],
                    ),
                ),
                (
                    "scan",
                    table(
                        "quét nhiệm vụ",
                        &[],
                        [
                            ("schedule", text("sáu trường, giây đứng đầu: giây phút giờ ngày tháng thứ")),
                            ("batch", whole(1, 10_000, "số nhiệm vụ xét trong một lượt ghi")),
                        ],
                    ),
                ),
                ("email", email),
                (
                    "import",
                    table(
                        "nhập dữ liệu",
                        &[],
                        [(
                            "confirm_above",
                            whole(0, 1_000_000, "nhập mà phải gửi ngay nhiều thư hơn số này thì hỏi lại"),
                        )],
                    ),
                ),
                (
                    "blocks",
                    table("cơ quan đầu mối của mỗi khối", &[], Block::ALL.iter().map(|name| (name.as_str(), block()))),
                ),
                (
                    "inspection",
                    table(
                        "cơ quan kiểm tra",
                        &[],
                        [("agency", any_text("cơ quan nhận các bước có `inspection`: mã hoặc tên trong danh bạ"))],
                    ),
                ),
                ("zalo", zalo),
                (
                    "notices",
                    table(
                        "phiếu báo nhiệm vụ quá hạn",
                        &[],
                        [
                            ("directory", text("thư mục đặt phiếu báo")),
                            ("number_prefix", any_text("chữ đứng trước số phiếu")),
                        ],
                    ),
                ),
                (
                    "web",
                    table(
                        "trang web của dịch vụ",
                        &[],
                        [
                            (
                                "listen",
                                any_text("địa chỉ và cổng trên chính máy này: 127.0.0.1:8787; để trống là không mở"),
                            ),
                            ("public_url", form("^https?://", "địa chỉ in trong thư")),
                        ],
                    ),
                ),
            ],
        ),
    )
}
