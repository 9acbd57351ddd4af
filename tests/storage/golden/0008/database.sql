BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0008');
CREATE TABLE api_keys (
	key_id TEXT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	scopes TEXT NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	verifier BLOB NOT NULL, 
	created_at BIGINT NOT NULL, 
	revoked_at BIGINT, 
	PRIMARY KEY (key_id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id)
);
INSERT INTO "api_keys" VALUES('golden','ten_golden','test','profiles:read profiles:write sessions:lease','apikey-ece8cb71',X'7676767676767676767676767676767676767676767676767676767676767676',1760000000000000,NULL);
CREATE TABLE audit (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at BIGINT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	method TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	key_id TEXT NOT NULL, 
	operator TEXT NOT NULL, 
	peer TEXT NOT NULL, 
	profile_key TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	account_id TEXT NOT NULL, 
	lent TEXT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	request_id TEXT NOT NULL, 
	left_out BIGINT NOT NULL
);
INSERT INTO "audit" VALUES(1,1760000000000012,'ten_golden','LeaseSession','OK','golden','','','prof_well','bluesky','did:plc:prof_well','SESSION',1760003600000000,'',0);
CREATE TABLE connect_links (
	link_id TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	key_id TEXT NOT NULL, 
	profile_key TEXT, 
	platform TEXT NOT NULL, 
	app_name TEXT NOT NULL, 
	return_url TEXT NOT NULL, 
	state TEXT NOT NULL, 
	locale TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	tries BIGINT DEFAULT '0' NOT NULL, 
	used_at BIGINT, 
	revoked_at BIGINT, 
	PRIMARY KEY (link_id), 
	FOREIGN KEY(tenant_id, profile_key) REFERENCES profiles (tenant_id, profile_key) ON DELETE CASCADE, 
	UNIQUE (digest), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id)
);
INSERT INTO "connect_links" VALUES('link_golden',X'64812B5BFB5D9172C666E3C22ABAB8CB50FE1CAEB64DC6463003735FA8A75DCA','token-845f15d7','ten_golden','golden','prof_empty','bluesky','Golden app','https://app.example.com/done','state','de',1760000000000000,1760003600000000,0,NULL,NULL);
CREATE TABLE connections (
	tenant_id TEXT NOT NULL, 
	profile_key TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	account_id TEXT NOT NULL, 
	username TEXT NOT NULL, 
	display_name TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	generation BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	reconnect_reason TEXT, 
	connected_at BIGINT NOT NULL, 
	last_verified_at BIGINT NOT NULL, 
	next_check_at BIGINT, checked_at BIGINT, document_at BIGINT DEFAULT '0' NOT NULL, moved_at BIGINT, doubts BIGINT DEFAULT '0' NOT NULL, refusals BIGINT DEFAULT '0' NOT NULL, login_after BIGINT, profile_created_at BIGINT, rejections BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (tenant_id, profile_key, platform), 
	FOREIGN KEY(tenant_id, profile_key) REFERENCES profiles (tenant_id, profile_key) ON DELETE CASCADE
);
INSERT INTO "connections" VALUES('ten_golden','prof_well','bluesky','did:plc:prof_well','well.example','well.example','https://pds.example',5,'UNVERIFIED',NULL,1760000000000001,1760000000000011,1760003600000000,1760000000000011,1760000000000000,NULL,1,2,1760003600000000,1760000000000001,0);
INSERT INTO "connections" VALUES('ten_golden','prof_broken','bluesky','did:plc:prof_broken','renamed.example','renamed.example','https://pds.example',2,'BROKEN','APP_PASSWORD_REVOKED',1760000000000002,1760000000000011,1760003600000000,1760000000000011,1760000000000000,NULL,1,2,1760003600000000,1760000000000002,0);
CREATE TABLE credentials (
	tenant_id TEXT NOT NULL, 
	profile_key TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	generation BIGINT NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	envelope BLOB NOT NULL, 
	PRIMARY KEY (tenant_id, profile_key, platform), 
	FOREIGN KEY(tenant_id, profile_key, platform) REFERENCES connections (tenant_id, profile_key, platform) ON DELETE CASCADE
);
INSERT INTO "credentials" VALUES('ten_golden','prof_well','bluesky',5,'seal-dae0c883',X'02E1602BB1CA3CEDE400CDE479D943CC3A367AD3FF9829223E610DD83487AEEA21E9D807095696F22A08B40B2EF6F5638563BED28BF88B244AEE90D9B2CD92F8CB86BAA9F20061906D84A1F8EA3F7DDC5F53E4411FDDC2175B7D13D104F30E159818418DD94A05EF8BF8F54E361DF77AE81C14B93B60496222949116BDAC9E480692');
INSERT INTO "credentials" VALUES('ten_golden','prof_broken','bluesky',2,'seal-dae0c883',X'02F9882CE080A4F90FD7B815264A0A756427C590D943B79284A6E321857AA8B09A1A57C0DB634237238BC5D7CB1CE916B89359E2597BC8DAAC99BE19CFCE7419BD4E1F282C80236C41DDD48C3ADA073BB2E4E558AAB533854DAB6EF16A2AC131DAE1EBF8F8F32A752FFD8DCF8C9357E19B3E5006167940282319F0A009AB5E5BDFA71776');
CREATE TABLE event_marks (
	tenant_id TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	at BIGINT NOT NULL, 
	PRIMARY KEY (tenant_id, number), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
INSERT INTO "event_marks" VALUES('ten_golden',10,1760000000000030);
CREATE TABLE events (
	tenant_id TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	profile_key TEXT NOT NULL, 
	connection TEXT, 
	occurred_at BIGINT, 
	PRIMARY KEY (tenant_id, number), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id)
);
INSERT INTO "events" VALUES('ten_golden',1,'CONNECTED','prof_well','{"platform": "bluesky", "account_id": "did:plc:prof_well", "username": "well.example", "display_name": "well.example", "state": "HEALTHY", "reconnect_reason": null, "connected_at": 1760000000000001, "last_verified_at": 1760000000000001, "next_check_at": 1760021600000000}',1760000000000001);
INSERT INTO "events" VALUES('ten_golden',2,'CONNECTED','prof_broken','{"platform": "bluesky", "account_id": "did:plc:prof_broken", "username": "broken.example", "display_name": "broken.example", "state": "HEALTHY", "reconnect_reason": null, "connected_at": 1760000000000002, "last_verified_at": 1760000000000002, "next_check_at": 1760021600000000}',1760000000000002);
INSERT INTO "events" VALUES('ten_golden',3,'CONNECTED','prof_ended','{"platform": "bluesky", "account_id": "did:plc:prof_ended", "username": "ended.example", "display_name": "ended.example", "state": "HEALTHY", "reconnect_reason": null, "connected_at": 1760000000000003, "last_verified_at": 1760000000000003, "next_check_at": 1760021600000000}',1760000000000003);
INSERT INTO "events" VALUES('ten_golden',4,'CONNECTED','prof_gone',NULL,NULL);
INSERT INTO "events" VALUES('ten_golden',5,'RECONNECTED','prof_well','{"platform": "bluesky", "account_id": "did:plc:prof_well", "username": "well.example", "display_name": "well.example", "state": "HEALTHY", "reconnect_reason": null, "connected_at": 1760000000000001, "last_verified_at": 1760000000000005, "next_check_at": 1760021600000000}',1760000000000005);
INSERT INTO "events" VALUES('ten_golden',6,'BROKEN','prof_broken','{"platform": "bluesky", "account_id": "did:plc:prof_broken", "username": "renamed.example", "display_name": "renamed.example", "state": "BROKEN", "reconnect_reason": "APP_PASSWORD_REVOKED", "connected_at": 1760000000000002, "last_verified_at": 1760000000000011, "next_check_at": 1760003600000000}',1760000000000011);
INSERT INTO "events" VALUES('ten_golden',7,'HANDLE_CHANGED','prof_broken','{"platform": "bluesky", "account_id": "did:plc:prof_broken", "username": "renamed.example", "display_name": "renamed.example", "state": "BROKEN", "reconnect_reason": "APP_PASSWORD_REVOKED", "connected_at": 1760000000000002, "last_verified_at": 1760000000000011, "next_check_at": 1760003600000000}',1760000000000011);
INSERT INTO "events" VALUES('ten_golden',8,'UNVERIFIED','prof_well','{"platform": "bluesky", "account_id": "did:plc:prof_well", "username": "well.example", "display_name": "well.example", "state": "UNVERIFIED", "reconnect_reason": null, "connected_at": 1760000000000001, "last_verified_at": 1760000000000011, "next_check_at": 1760003600000000}',1760000000000011);
INSERT INTO "events" VALUES('ten_golden',9,'DISCONNECTED','prof_ended','{"platform": "bluesky", "account_id": "did:plc:prof_ended", "username": "ended.example", "display_name": "ended.example", "state": "HEALTHY", "reconnect_reason": null, "connected_at": 1760000000000003, "last_verified_at": 1760000000000003, "next_check_at": 1760021600000000}',1760000000000020);
INSERT INTO "events" VALUES('ten_golden',10,'DISCONNECTED','prof_gone',NULL,NULL);
CREATE TABLE facts (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "facts" VALUES('canary','seal-dae0c883 02e69b35122b11b73dd1f476b8c0c878179d7b7e8a03895a7ca4e093c9ef537541a9e4f22c4982fa91f01ea65978278cdc8683771e571902feb407d9f493d55a5c5945b8e0d2db68ce9412de291167694f0d26c50a8d8a0993d77cb90ea1084e75d7d672f1de537710f23928ff1ac7a2279bb459c47b0423583003fa3ac72587070b2b999e5b4cba2bc8c162a991dde76162f56903e4ac842e7fcb5fd6053e4ce386db');
INSERT INTO "facts" VALUES('canary seal-dae0c883','a29b800e6e7cd08862f3555c1ce167814fd61683a26d7e2a085675567224eff8');
INSERT INTO "facts" VALUES('canary apikey-ece8cb71','4b2446c67927def026fe3249737ed0e86d544882e1ebf35cc784ba74628a08bc');
INSERT INTO "facts" VALUES('canary token-845f15d7','8b0891613210f4dbe8755c2e3fd483a31f8d2e2933a060bd397e4dafc67cdf98');
INSERT INTO "facts" VALUES('mode','live');
CREATE TABLE idempotency_records (
	tenant_id TEXT NOT NULL, 
	method TEXT NOT NULL, 
	idempotency_key TEXT NOT NULL, 
	holder TEXT NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	profile_key TEXT, 
	reply TEXT, 
	expires_at BIGINT NOT NULL, 
	PRIMARY KEY (tenant_id, method, idempotency_key), 
	FOREIGN KEY(tenant_id, profile_key) REFERENCES profiles (tenant_id, profile_key) ON DELETE CASCADE
);
INSERT INTO "idempotency_records" VALUES('ten_golden','CreateProfile','create','holder','token-845f15d7',X'B2BC388005140B9EEC7DF3DA1332E1E135A0ECBEB5DA24F1852EA7B4D0DB9B73','prof_empty','["prof_empty", "Empty \u263a"]',1760086400000000);
INSERT INTO "idempotency_records" VALUES('ten_golden','ConnectProfile','connect','holder','token-845f15d7',X'8875492225C4553D976941DE2ED6758E342B9FAA4CF2F71C9D4E9676611107E5','prof_well','["prof_well", "bluesky", "well.example"]',1760086400000001);
CREATE TABLE login_debits (
	account_id TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	purpose TEXT NOT NULL, 
	at BIGINT NOT NULL
);
INSERT INTO "login_debits" VALUES('did:plc:prof_well','https://pds.example','ten_golden','connect',1760000000000000);
CREATE TABLE login_pauses (
	account_id TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	until BIGINT NOT NULL, 
	PRIMARY KEY (account_id, origin)
);
INSERT INTO "login_pauses" VALUES('did:plc:prof_broken','https://pds.example',1760003600000000);
CREATE TABLE profiles (
	profile_key TEXT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	profile_name TEXT, 
	created_at BIGINT NOT NULL, 
	PRIMARY KEY (profile_key), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id)
);
INSERT INTO "profiles" VALUES('prof_empty','ten_golden','Empty ☺',1760000000000000);
INSERT INTO "profiles" VALUES('prof_well','ten_golden',NULL,1760000000000001);
INSERT INTO "profiles" VALUES('prof_broken','ten_golden',NULL,1760000000000002);
INSERT INTO "profiles" VALUES('prof_ended','ten_golden',NULL,1760000000000003);
CREATE TABLE sessions (
	tenant_id TEXT NOT NULL, 
	profile_key TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	generation BIGINT NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	envelope BLOB NOT NULL, 
	expires_at BIGINT NOT NULL, refreshed_at BIGINT DEFAULT '0' NOT NULL, fence BIGINT DEFAULT '0' NOT NULL, claimed_until BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (tenant_id, profile_key, platform), 
	FOREIGN KEY(tenant_id, profile_key, platform) REFERENCES connections (tenant_id, profile_key, platform) ON DELETE CASCADE
);
INSERT INTO "sessions" VALUES('ten_golden','prof_well','bluesky',5,'seal-dae0c883',X'02D1E9BEA27A2684A609C4AE833E339AA7C679CACB32AAD2CF97C83825C4CC1CC695DD06FD0B9ECF0EF7CD5A9D119B5E377B5DD57238459FF0CEED5A9674F39B4EA187D2ECB15EB9D0C46766C1FE040DD67D4DBD6CE6371CC54DCAC76DE1350C6A6DB3E9242313A02A360FB064A7C2786ADD50EFD5F2F4DBF1622BC4FD56ACD1633D79D88EB8BC7F04A298E821012CDB51FBB44673D14AEDADA028B06615887BE1EE44F80A6862CB',1760003600000000,1760000000000005,2,0);
INSERT INTO "sessions" VALUES('ten_golden','prof_broken','bluesky',2,'seal-dae0c883',X'0261BED5B2312C7F9E344CEF848344EBBC71B34E774B87675FCA5CC742C5B156ABECB913B8C7AA43CE8743D1A0BE4E9A540B2385504FCFCA5602ECFF62499B48209AE28167DE71232E6DDDFE3C711A75C5413B3EA2B7BE03CDA49DD5FA21032D44A04E5DBCC71EA2BCE6B575040149A4E77E7856B4AB9AFC376A69D0AB59F8D9591830BD42454A883AE2E674FF888D9F0AFAEA26F45772B8F0AB1E4D8218EB501ADEB73000930A98EEC24596',1760003600000000,1760000000000002,1,0);
CREATE TABLE tenant_pages (
	tenant_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	logo TEXT NOT NULL, 
	colour TEXT NOT NULL, 
	origins TEXT NOT NULL, 
	PRIMARY KEY (tenant_id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id)
);
INSERT INTO "tenant_pages" VALUES('ten_golden','Golden','','#0a66c2','https://app.example.com');
CREATE TABLE tenants (
	tenant_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	last_event BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (tenant_id)
);
INSERT INTO "tenants" VALUES('ten_golden','golden',1760000000000000,10);
CREATE TABLE webhook_deliveries (
	webhook_id TEXT NOT NULL, 
	message_id TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	profile_key TEXT NOT NULL, 
	event_type TEXT NOT NULL, 
	body TEXT, 
	attempts BIGINT NOT NULL, 
	first_at BIGINT, 
	next_at BIGINT NOT NULL, 
	cause TEXT NOT NULL, 
	http_status BIGINT NOT NULL, 
	failed_at BIGINT, 
	PRIMARY KEY (webhook_id, message_id), 
	FOREIGN KEY(webhook_id) REFERENCES webhooks (webhook_id) ON DELETE CASCADE
);
INSERT INTO "webhook_deliveries" VALUES('wh_golden0123456789','msg_golden0123456789_1',1,'prof_well','connection.connected',NULL,1,1760000000000055,1760003600000000,'HTTP_STATUS',500,NULL);
INSERT INTO "webhook_deliveries" VALUES('wh_golden0123456789','msg_golden0123456789_2',2,'prof_well','connection.connected',NULL,1,1760000000000055,1760003600000000,'HTTP_STATUS',500,1760000000000055);
CREATE TABLE webhook_secrets (
	webhook_id TEXT NOT NULL, 
	generation BIGINT NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	envelope BLOB NOT NULL, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT, 
	PRIMARY KEY (webhook_id, generation), 
	FOREIGN KEY(webhook_id) REFERENCES webhooks (webhook_id) ON DELETE CASCADE
);
INSERT INTO "webhook_secrets" VALUES('wh_golden0123456789',1,'seal-dae0c883',X'023F3132CED125A944655EF0C50764F26154C511B85831D58B9AD30C81C55F47E9AC8FD424D7158604DF767A044CB29146A0CCCCDE99DC756FEDF68A05402A2EF14F79F1609707FFE8FB423AD5E2C97DA3085093A37CFE7DDC73B78227F0238184F70A87C283BEE411FBA220CA2FE16FD953F7723CB0925516',1760000000000035,1760086400000000);
INSERT INTO "webhook_secrets" VALUES('wh_golden0123456789',2,'seal-dae0c883',X'02BB0D7F0D134BC69B38290BAC5E05E1C6A5D4C4411ED40DAB8EB1F4FE4EB1BE52B15EF1587B0683E001708A38419F2B8DC66BB427A5D72B5A6B576B3D406443CE387A6C6A1BF59E644CD12E554581602FAB7E389766C5EB079493AFD754B07EEC93C644D15B3302378B253332B4BD93D676969CB6BCEAF418',1760000000000040,NULL);
CREATE TABLE webhooks (
	webhook_id TEXT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	url TEXT NOT NULL, 
	event_types TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	position BIGINT NOT NULL, 
	disabled_reason TEXT, 
	failures BIGINT DEFAULT '0' NOT NULL, 
	failing_since BIGINT, 
	resume_at BIGINT DEFAULT '0' NOT NULL, 
	fence BIGINT DEFAULT '0' NOT NULL, 
	claimed_until BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (webhook_id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
INSERT INTO "webhooks" VALUES('wh_golden0123456789','ten_golden','https://hooks.example/in','connection.broken',1760000000000035,10,NULL,2,1760000000000055,1760000000000055,1,1760000000000055);
CREATE INDEX api_keys_of_tenant ON api_keys (tenant_id, created_at, key_id);
CREATE UNIQUE INDEX profiles_of_tenant_by_key ON profiles (tenant_id, profile_key);
CREATE INDEX profiles_in_order ON profiles (tenant_id, created_at, profile_key);
CREATE INDEX connections_of_account ON connections (tenant_id, account_id, origin);
CREATE INDEX credentials_by_keyring_key ON credentials (ring_key_id);
CREATE INDEX sessions_by_keyring_key ON sessions (ring_key_id);
CREATE INDEX idempotency_records_by_expiry ON idempotency_records (tenant_id, expires_at);
CREATE INDEX idempotency_records_of_profile ON idempotency_records (tenant_id, profile_key);
CREATE INDEX events_of_profile ON events (tenant_id, profile_key);
CREATE INDEX login_debits_of_account ON login_debits (account_id, origin, at);
CREATE INDEX login_debits_by_age ON login_debits (at);
CREATE INDEX login_pauses_by_end ON login_pauses (until);
CREATE INDEX connections_due ON connections (next_check_at);
CREATE INDEX connections_due_of_tenant ON connections (tenant_id, next_check_at);
CREATE INDEX event_marks_by_age ON event_marks (at);
CREATE INDEX connections_to_reconnect ON connections (tenant_id, profile_created_at, profile_key) WHERE reconnect_reason IS NOT NULL;
CREATE INDEX audit_by_age ON audit (at);
CREATE INDEX audit_of_tenant ON audit (tenant_id, at);
CREATE INDEX webhooks_of_tenant ON webhooks (tenant_id, created_at, webhook_id);
CREATE INDEX webhook_secrets_by_keyring_key ON webhook_secrets (ring_key_id);
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (webhook_id, next_at) WHERE failed_at IS NULL;
CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (webhook_id, failed_at, message_id);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (failed_at);
CREATE INDEX connect_links_by_expiry ON connect_links (expires_at);
CREATE INDEX connect_links_of_profile ON connect_links (tenant_id, profile_key);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('audit',1);
COMMIT;
