-- As superuser, in the corpus's database: a role that could do harm, so that nothing is refused for lack of rights.
GRANT CREATE ON SCHEMA public TO sallyport_app;
GRANT SELECT ON pg_statistic, pg_largeobject, pg_authid TO sallyport_app;
GRANT EXECUTE ON FUNCTION pg_read_file(text), pg_ls_dir(text), pg_current_logfile(), lo_export(oid, text), lo_import(text)
  TO sallyport_app;
