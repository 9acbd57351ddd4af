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
INSERT INTO "api_keys" VALUES('golden','ten_golden','test','profiles:read profiles:write sessions:lease','apikey-e6b76287',X'7676767676767676767676767676767676767676767676767676767676767676',1760000000000000,NULL);
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
INSERT INTO "connect_links" VALUES('link_golden',X'9D10B29B84C4E5CD7E9B44EC78EA37CF69978DF313B32E2849CE6F1F5F968545','token-3061384f','ten_golden','golden','prof_empty','bluesky','Golden app','https://app.example.com/done','state','de',1760000000000000,1760003600000000,0,NULL,NULL);
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
INSERT INTO "credentials" VALUES('ten_golden','prof_well','bluesky',5,'seal-d716088a',X'02DDE99693D6CCFC7839218754F11A5BE280991236514D98DFDD0F4847CB67133DAAD176DD6F50D5C67D0078BF1D3A2516B28201BE571B9CC256B12E7A40379EACC00EA902E267AC7A9211ED886E1090B5D389723904046EF852A4109C6E7DFA6D74E939948D49BD432BDCAA4CB37252C8A14D5F94A029963BCA6F7B158D087AC5B2');
INSERT INTO "credentials" VALUES('ten_golden','prof_broken','bluesky',2,'seal-d716088a',X'02E4F9B5375A747A0D062530C7F5C4B5DECADF9F1A182AE50355219730A20AFD5394735BACD590D570C3FCC9B33BA9CB6CB3134C610CB308DE3E658CCA82F7736796E140AB81D59D9DF37BB4D896AC9AEFDC73FE0A9A6A4E23102D1624F73ED72B20D89B8DCBA877D8BDC16497AF70450A13378D6ED0C15F1DCF9A308AF9F125E2C24761');
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
INSERT INTO "facts" VALUES('canary','seal-d716088a 025c53b4057fe41225f8ef9f519767b2b9ee7cafae784946bff8a6c11e924ac566c29b00403f86f9f67a99072ba20d06a2ccff7fbbdead0d09c50083140a56f5bd9ba9cb0a80d5344f29e73258ff66d53754359767039745653184e0f8f6efbacc899fdd9b704e04b1f751ff6235279ed5c275d7b0b26d34f5b74e13ef5022a9b9c5c55ba89d2c08afc21f176bc1c023043ce83c5fc58744b0f20b5c88451505bf2645');
INSERT INTO "facts" VALUES('canary seal-d716088a','865a6ccc4b017c85cfa322bb5d6f7d9969b6fdd495a824b01b7fe757133a82a0');
INSERT INTO "facts" VALUES('canary apikey-e6b76287','7a62cf5b16bfccccb6045acb058ed4d7af63cdb10853b7e74cae7786901884ed');
INSERT INTO "facts" VALUES('canary token-3061384f','1bae18caf07fa8394f09634cbbbb9940e53c69d9fc435399a8ff9bcea3f74701');
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
INSERT INTO "idempotency_records" VALUES('ten_golden','CreateProfile','create','holder','token-3061384f',X'84476EC89061B5497D301641947A28BBD13C45D1563568DEB4D7B64398527EC7','prof_empty','["prof_empty", "Empty \u263a"]',1760086400000000);
INSERT INTO "idempotency_records" VALUES('ten_golden','ConnectProfile','connect','holder','token-3061384f',X'61EEB210B6CEE66025F1F05B74A246E0E8628339C3B8A524A842F83C0B9CB6CA','prof_well','["prof_well", "bluesky", "well.example"]',1760086400000001);
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
INSERT INTO "sessions" VALUES('ten_golden','prof_well','bluesky',5,'seal-d716088a',X'02F0E229D32E4C82569770E8550976B27C3E0660DE0D3401E482F1C56F3D1D766CCA3EA9D912D57BB3108D95C87E7855A0782FCA1DB762C7F5DF4A75B32A81756F8C4E40E54E0AEB2FA63CA4BD5FB928660CB2024C8D1968CC89A257B9AD3E9A45BA251AFB502E18179EAC74AC90869B297AF624614662070D7E500C703DC66FBCB7C39A47D06524AB8BBC702B6DBAC5E11726C4F075066BAA26E24055B07A2C67009FABD9A69767',1760003600000000,1760000000000005,2,0);
INSERT INTO "sessions" VALUES('ten_golden','prof_broken','bluesky',2,'seal-d716088a',X'0283B4F6E37B906A95582F08BF6168D1546C6A0CB333062D7E7C8DF5DA8F558ED391EEB1B0A8E41919E3A825D772CAA882796ABA0D9C9C455596BE72F74872E21F98C32B833B2D71256FD8657511E26336B2190DDB32C2276CDCF7E9ADE836011D843012ACEFDF7B2FC3237DD4A4E33FE8CE0C018B546B664BD272A5B7307C08DB4CF219B82785C6334E4EE4E55555AB854134A8203E66C9D673B1DA9266C6F3645C04436987DA6B99DFA2F7',1760003600000000,1760000000000002,1,0);
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
CREATE INDEX connect_links_by_expiry ON connect_links (expires_at);
CREATE INDEX connect_links_of_profile ON connect_links (tenant_id, profile_key);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('audit',1);
COMMIT;
